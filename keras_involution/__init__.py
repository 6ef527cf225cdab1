"""Involution layers and RedNet image models for Keras 3.

The public names are listed in `__init__.pyi` and imported on first use.
"""

import sys
from pathlib import Path

import lazy_loader

from keras_involution._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


_COMMANDS = (
    "keras_involution.cli",
    "keras_involution.data.decoder_process",
    "keras_involution.whale_id.cli",
)


def _is_a_command() -> bool:
    """Whether this process runs `keras-involution`, `whale-id` or the image decoder."""
    if sys.argv[:1] == ["-m"]:  # Python is still locating the module.
        return any(argument in _COMMANDS for argument in sys.orig_argv)
    return Path(*sys.argv[:1]).stem in ("keras-involution", "whale-id")


# Importing the classes registers them with Keras, which saved models need to load.
# The commands import the classes only when they run, so that `--help` is quick.
if not _is_a_command():
    from keras_involution._backend import import_keras

    import_keras()
    from keras_involution import layers as layers
    from keras_involution import models as models
