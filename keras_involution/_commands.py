"""What the command lines share: a folder that is the list of commands, and errors."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from typing import Any

import click


class CommandFolder(click.Group):
    """A group whose commands are the files of a package.

    A file `name.py` holds one click command named `command`; adding the file adds the
    command. Files that begin with an underscore are helpers.

    Args:
        package: String, name of the package.
        path: Sequence of strings, its `__path__`.
        **options: What `click.Group` takes.
    """

    def __init__(self, package: str, path: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self.package, self.path = package, path

    def list_commands(self, context: click.Context) -> list[str]:
        names = [module.name for module in pkgutil.iter_modules(self.path)]
        return sorted(name for name in names if not name.startswith("_"))

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(context):
            return None
        return importlib.import_module(f"{self.package}.{name}").command


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Ends the command with status 1 and the message of a `ValueError` or `OSError`."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
