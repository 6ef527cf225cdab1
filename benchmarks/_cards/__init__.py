"""Model cards and metadata of the built-in presets."""
