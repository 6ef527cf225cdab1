"""Shows the progress of a download on the standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

_SMALL = 2**20


@contextlib.contextmanager
def progress_of(name: str, done: int, total: int) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with the number of further bytes of a file.

    Files below 1 MiB have no progress bar. In a log file, the bar is a single line at
    the end. `HF_HUB_DISABLE_PROGRESS_BARS` hides it.
    """
    hidden = os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS", "").upper()
    if hidden in ("1", "ON", "YES", "TRUE") or (total and total < _SMALL):
        yield lambda size: None
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    console = Console(file=sys.stderr)
    with progress.Progress(*columns, console=console) as bar:
        task = bar.add_task(name, total=total or None, completed=done)
        yield lambda size: bar.advance(task, size)
