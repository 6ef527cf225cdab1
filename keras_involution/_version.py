"""The version of the package, read by the build and part of the kernel cache's keys."""

__version__ = "0.1.0"
