"""Suppresses Pillow's warning about large images while threads decode."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

_lock = threading.Lock()
_users = 0
_filters: warnings.catch_warnings | None = None


@contextlib.contextmanager
def large_images_allowed() -> Iterator[None]:
    """Ignores `DecompressionBombWarning`. Pillow still rejects twice its limit.

    Warning filters are shared by all threads, so a `catch_warnings` in each thread
    would undo those of the others. Here the first thread sets the filter and the last
    one restores it.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _users, _filters
    from PIL import Image

    with _lock:
        _users += 1
        if _users == 1:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0 and _filters is not None:
            _filters.__exit__(None, None, None)
