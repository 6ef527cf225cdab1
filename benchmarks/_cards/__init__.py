"""The files of the built-in presets: published architectures, trained weights."""
