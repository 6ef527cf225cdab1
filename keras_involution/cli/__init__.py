"""The command `keras-involution`.

Each file of this folder without a leading underscore defines a click command named
`command`. Heavy imports are inside the commands, so that `--help` is fast.
"""

from __future__ import annotations

import os

import click

from keras_involution._commands import CommandFolder


@click.group(cls=CommandFolder, package=__name__, path=__path__)
def main() -> None:
    """Train, classify, convert, export and publish involution networks."""
    # Hide the start-up messages of TensorFlow.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
