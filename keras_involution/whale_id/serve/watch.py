"""A file of known photos that changes while the server runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from keras_involution.whale_id.embeddings import Embeddings

SECONDS = 2.0
logger = logging.getLogger("keras_involution.whale_id")


async def watched_database(
    path: Path, seconds: float | None = None
) -> AsyncIterator[Embeddings]:
    """The embeddings of a file, each time that it has changed.

    A file that is damaged or missing is named in the log, and the one before stays.

    Args:
        path: Path of the file.
        seconds: Float, time between two looks; `None` is `SECONDS`.

    Yields:
        `Embeddings`.
    """
    seen = _state(path)
    while True:
        await asyncio.sleep(SECONDS if seconds is None else seconds)
        state = _state(path)
        if state == seen or state is None:
            continue
        seen = state
        try:
            database = await asyncio.to_thread(Embeddings.load, path)
        except ValueError as error:
            logger.warning("The collection stays as it was: %s", error)
        else:
            logger.info("%s: %d photos", path, len(database))
            yield database


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
