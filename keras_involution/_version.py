"""The version of the package, used by the build and in the keys of the kernel cache."""

__version__ = "0.1.0"
