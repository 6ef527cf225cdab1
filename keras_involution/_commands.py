"""Shared by both command lines: command folders, required extras and errors."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from typing import Any

import click
import cloup

from keras_involution._arguments import positive_integer
from keras_involution._backend import import_keras

DISTRIBUTION = "keras-involution"


class CommandFolder(click.Group):
    """A group whose commands are the files of a package.

    A file `name.py` holds one command named `command`; adding the file adds the
    command. Files that begin with an underscore are helpers.

    Args:
        package: String, name of the package.
        path: Sequence of strings, the `__path__` of the package.
        **options: Arguments of `click.Group`.
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


class Command(cloup.Command):
    """A command that checks its dependencies first and says how to resume it.

    Args:
        extras: Sequence of strings, the extras of this package that it needs.
        backend: Boolean, whether it needs Keras and a backend.
        resume: String, the advice that is printed after Ctrl-C.
        **options: Arguments of `cloup.Command`. Help shows all defaults.
    """

    def __init__(
        self,
        *arguments: Any,
        extras: Sequence[str] = (),
        backend: bool = True,
        resume: str = "Nothing was saved; run the same command again.",
        context_settings: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        settings = {"show_default": True, **(context_settings or {})}
        super().__init__(*arguments, context_settings=settings, **options)
        self.extras, self.backend, self.resume = extras, backend, resume

    def invoke(self, context: click.Context) -> Any:
        require_extras(self.extras)
        try:
            if self.backend:
                import_keras()
        except ImportError as error:
            raise click.ClickException(str(error)) from error
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            click.echo(f"\nInterrupted. {self.resume}", err=True)
            context.exit(130)


def require_extras(extras: Sequence[str]) -> None:
    """Checks that the libraries of these extras are installed.

    Raises:
        ClickException: If one is missing. The message has the command to install it.
    """
    missing = {extra: _missing(extra) for extra in extras}
    names = [name for absent in missing.values() for name in absent]
    if names:
        wanted = ",".join(extra for extra, absent in missing.items() if absent)
        raise click.ClickException(
            f"{', '.join(names)} must be installed. Run "
            f'`pip install "{DISTRIBUTION}[{wanted}]"`.'
        )


def _missing(extra: str) -> list[str]:
    """The libraries of an extra, and of the extras it includes, that are missing."""
    import importlib.metadata

    from packaging.requirements import Requirement

    absent = []
    for text in importlib.metadata.requires(DISTRIBUTION) or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or not marker.evaluate({"extra": extra}):
            continue
        if marker.evaluate({"extra": ""}):
            continue
        if requirement.name == DISTRIBUTION:
            absent += [name for other in requirement.extras for name in _missing(other)]
            continue
        try:
            importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(requirement.name)
    return absent


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Ends the command with status 1 and the message of a `ValueError` or `OSError`."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


def positive(context: click.Context, parameter: click.Parameter, value: int) -> int:
    """A callback that refuses 0 and less before the command does any work."""
    with reported():
        return positive_integer(value, str(parameter.name))
