"""`keras-involution resume`: continues an interrupted training run."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.cli._training import (
    devices_option,
    train_to_the_end,
)


@cloup.command(
    cls=Command,
    extras=("train",),
    resume="Continue with: keras-involution resume FOLDER.",
)
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@devices_option
def command(run: Path, devices: str | None) -> None:
    """Continue the interrupted training run in the folder RUN."""
    with reported(), contextlib.ExitStack() as stack:
        distribution = None
        if devices is not None:
            from keras_involution.distribution import distribute

            distribution = stack.enter_context(distribute(devices))
        train_to_the_end(run, distribution)
