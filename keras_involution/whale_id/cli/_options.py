"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def table_source(command: Command) -> Command:
    """TABLE, `--images` and `--no-boxes`: what `read_table` takes."""
    for decorate in (
        click.option(
            "--no-boxes",
            "boxes",
            flag_value=False,
            default=True,
            help="Leave boxes out, where they belong to other pictures.",
        ),
        click.option(
            "--images",
            type=click.Path(exists=True, file_okay=False),
            help="Folder that the paths start from; else that of TABLE.",
        ),
        click.argument("table", type=click.Path(exists=True)),
    ):
        command = decorate(command)
    return command
