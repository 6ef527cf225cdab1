"""Locks for downloads: one process downloads while the others wait, with a limit."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from keras_involution._arguments import received
from keras_involution.hub._source import PresetError

LOCK_SECONDS = 2 * 3600.0
"""Maximum wait. The largest checkpoint, 137 MB, takes 76 minutes at 30 kB/s."""
FIRST_WORD, LATER_WORDS = 3.0, 60.0
"""Seconds before the first message about the wait, and between further messages."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock file. The system releases it when the process ends.

    While waiting, the path of the lock file is printed to the standard error.

    Args:
        path: Path of the lock file, in an existing folder.

    Raises:
        PresetError: If another process holds the lock for more than `LOCK_SECONDS`.
        OSError: If the file is not writable.
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
        "that process to release the lock, or set another folder with "
        f"`cache_dir`. {received(lock=str(path))}"
    )
