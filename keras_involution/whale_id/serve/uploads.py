"""The photos of a request, decoded within their limits."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile

from keras_involution.data.decoders import Decoders
from keras_involution.data.images import ImageError
from keras_involution.whale_id.pages.thumbnails import SIDE
from keras_involution.whale_id.serve.batcher import Full
from keras_involution.whale_id.serve.limits import Limits

FIELDS = ("images[]", "images")


class Uploads:
    """Reads and decodes the photos of requests.

    The number of files in memory is at most the number of decoders. Other files wait in
    temporary files, which the form parser writes.

    Args:
        decoders: `Decoders`.
        limits: `Limits`.
    """

    def __init__(self, decoders: Decoders, limits: Limits) -> None:
        self.decoders, self.limits = decoders, limits
        self.slots = asyncio.Semaphore(limits.decoders)
        self.threads = ThreadPoolExecutor(limits.decoders)
        self.waiting = 0

    async def __call__(
        self, request: Request, image_size: tuple[int, int], shown: bool
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The uploads as images of the network's size, and optionally larger images.

        Raises:
            HTTPException: If there are no files or too many, or a file is too large or
                cannot be read.
            Full: If too many photos are waiting.
        """
        # One file too many is accepted, so that the response can report the problem.
        files = self.limits.files
        async with request.form(max_files=files + 1, max_fields=20) as form:
            uploads = [
                item
                for field in FIELDS
                for item in form.getlist(field)
                if isinstance(item, UploadFile)
            ]
            if not uploads:
                raise HTTPException(422, "There are no files in the field `images[]`.")
            if len(uploads) > files:
                raise HTTPException(413, f"More than {files} photos.")
            if self.waiting and self.waiting + len(uploads) > self.limits.waiting:
                raise Full
            self.waiting += len(uploads)
            try:
                found = [await self._read(u, image_size, shown) for u in uploads]
            finally:
                self.waiting -= len(uploads)
        images, larger = zip(*found)
        return list(images), [image for image in larger if image is not None]

    def close(self) -> None:
        """Stops the decoders."""
        self.threads.shutdown(wait=False, cancel_futures=True)

    async def _read(
        self, upload: UploadFile, image_size: tuple[int, int], shown: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        name = upload.filename or "a photo"
        async with self.slots:
            data = await upload.read(self.limits.file_bytes + 1)
            if len(data) > self.limits.file_bytes:
                most = f"{self.limits.file_bytes:,}"
                raise HTTPException(413, f"{name}: more than {most} bytes.")
            loop = asyncio.get_running_loop()
            try:
                return await loop.run_in_executor(
                    self.threads, self._decode, data, image_size, shown
                )
            except ImageError as error:
                raise HTTPException(422, f"{name}: {error}") from None

    def _decode(
        self, data: bytes, image_size: tuple[int, int], shown: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        pixels = self.limits.pixels
        image = self.decoders.decode(data, image_size, pixels)
        larger = self.decoders.decode(data, None, pixels, SIDE) if shown else None
        return image, larger
