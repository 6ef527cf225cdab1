"""The command `whale-id`.

Every command is a file of this folder with one click command named `command`; the
folder is the list. Heavy imports stand inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import os

import click

from keras_involution._commands import CommandFolder


@click.group(cls=CommandFolder, package=__name__, path=__path__)
def main() -> None:
    """Which whale is this? From a table of photos to a ranked answer."""
    # The framework's own start-up messages would hide the answer.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
