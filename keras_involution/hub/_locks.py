"""Locks of downloads: one process works, the others wait, with an end and a word."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from keras_involution._arguments import received
from keras_involution.hub._source import PresetError

LOCK_SECONDS = 2 * 3600.0
"""Longest wait. The largest checkpoint, 137 MB, takes 76 minutes at 30 kB a second."""
FIRST_WORD, LATER_WORDS = 3.0, 60.0
"""Seconds before the wait is mentioned, and between further mentions."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock file, which the system releases when its process ends.

    A line on the error stream says which file is waited for.

    Args:
        path: Path of the lock file; its folder exists.

    Raises:
        PresetError: If another process holds it for more than `LOCK_SECONDS`.
        OSError: If the file cannot be written.
    """
    from filelock import FileLock, Timeout

    lock, begin, patience = FileLock(path), time.monotonic(), FIRST_WORD
    while True:
        left = begin + LOCK_SECONDS - time.monotonic()
        try:
            lock.acquire(timeout=max(0.0, min(patience, left)))
            break
        except Timeout as error:
            waited = time.monotonic() - begin
            if waited >= LOCK_SECONDS:
                raise _gave_up(path, waited) from error
            print(
                f"Waiting for another process that downloads the same file, for "
                f"{waited:.0f} s so far (lock {path})",
                file=sys.stderr,
                flush=True,
            )
            patience = LATER_WORDS
    try:
        yield
    finally:
        lock.release()


def _gave_up(path: Path, waited: float) -> PresetError:
    return PresetError(
        f"Another process has held the lock of this download for {waited:.0f} s. End "
        "that process, which releases the lock, or name another folder with "
        f"`cache_dir`. {received(lock=str(path))}"
    )
