"""Reloads a file of known photos that changes while the server runs."""

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
    """The embeddings of a file, each time the file changes.

    If the file is damaged or missing, this is logged, and the previous data is kept.

    Args:
        path: Path of the file.
        seconds: Float, time between two checks; `None` uses `SECONDS`.

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
            logger.warning("The collection is not reloaded: %s", error)
        else:
            logger.info("%s: %d photos", path, len(database))
            yield database


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
