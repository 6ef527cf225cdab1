"""Runs photos of several requests through the network in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np


class Full(Exception):
    """Too many photos are waiting."""


class Batcher:
    """Collects photos while the network is busy, and embeds them together.

    Args:
        embed: Function from a list of images to an array (N, D); it is called in a
            separate thread, one call at a time.
        largest: Integer, maximum number of images per call.
        waiting: Integer, maximum number of waiting images. If none is waiting, one
            request may contain more.
        on_batch: Function that is called with the size of every batch.
    """

    def __init__(
        self,
        embed: Callable[[Sequence[np.ndarray]], np.ndarray],
        largest: int,
        waiting: int,
        on_batch: Callable[[int], None],
    ) -> None:
        self.embed, self.largest, self.waiting = embed, largest, waiting
        self.on_batch = on_batch
        self.queue: list[tuple[np.ndarray, asyncio.Future]] = []
        self.thread = ThreadPoolExecutor(1)
        self.worker: asyncio.Task | None = None

    async def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """The embeddings of images (N, D).

        Raises:
            Full: If too many images are waiting.
        """
        if self.queue and len(self.queue) + len(images) > self.waiting:
            raise Full
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in images]
        self.queue += zip(images, futures)
        if self.worker is None or self.worker.done():
            self.worker = asyncio.create_task(self._work())
        return np.stack(await asyncio.gather(*futures))

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self.queue:
            batch = self.queue[: self.largest]
            self.queue = self.queue[self.largest :]
            images = [image for image, _ in batch]
            try:
                features = await loop.run_in_executor(self.thread, self.embed, images)
            except Exception as error:
                _settle(batch, [error] * len(batch))
            else:
                self.on_batch(len(batch))
                _settle(batch, list(features))

    def close(self) -> None:
        self.thread.shutdown(wait=False, cancel_futures=True)


def _settle(batch: Sequence, results: Sequence) -> None:
    for (_, future), result in zip(batch, results):
        if future.done():  # Its client has disconnected.
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
