"""Errors of the library as messages of the command, without a traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Ends the command with status 1 and the message of a `ValueError` or `OSError`."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
