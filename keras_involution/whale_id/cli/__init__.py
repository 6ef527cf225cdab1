"""The command `whale-id`.

Each command is a file in this folder with a click command named `command`; all files
are registered. Heavy imports are inside the commands, so that `--help` is fast.
"""

from __future__ import annotations

import os

import click

from keras_involution._commands import CommandFolder


@click.group(cls=CommandFolder, package=__name__, path=__path__)
def main() -> None:
    """Find out which individual animal a photo shows."""
    # The framework's startup messages would hide the answer.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
