"""Progress bars on standard error, if it is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import click


class Progress:
    """A progress bar around an iterator; it is silent unless a terminal shows it.

    Args:
        label: String before the bar.
        length: Integer, number of items.
    """

    def __init__(self, label: str, length: int) -> None:
        hidden = not sys.stderr.isatty()
        self.bar: Any = click.progressbar(
            length=length, label=label, file=sys.stderr, hidden=hidden
        )

    def __enter__(self) -> Progress:
        self.bar.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.bar.__exit__(kind, error, traceback)

    def __call__(self, items: Iterable) -> Iterator:
        for item in items:
            yield item
            self.bar.update(1)
