"""Images of strangers, decoded in processes with limits of time and memory.

A file of a few kilobytes can keep a decoder busy for a minute or make it take
gigabytes. Here a decoder that does so ends alone, and its image gets an error.
"""

from __future__ import annotations

import ctypes
import json
import math
import multiprocessing
import os
import queue
import signal
import struct
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
from PIL import Image

from keras_involution._arguments import positive_integer, positive_number
from keras_involution.data.images import ImageError, read_image

_DONE, _REFUSED = b"D", b"R"
# The wall clock of a busy machine runs ahead of the time that a process gets.
_WALL_PER_CPU_SECOND = 8
_MOST_SCANS = 100
_PR_SET_PDEATHSIG = 1


class Decoders:
    """Worker processes that decode images, each within its limits.

    The workers end with this process, however it ends. A worker that breaks a limit is
    replaced.

    Args:
        workers: Integer, images that are decoded at once.
        seconds: Float, time of a processor that an image may take.
        memory: Integer, bytes that an image may take.

    Raises:
        ValueError: If a limit is not positive.

    Example:

    >>> import io
    >>> from PIL import Image
    >>> from keras_involution.data.decoders import Decoders
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (60, 40)).save(file, "png")
    >>> decoders = Decoders(workers=1)
    >>> decoders.decode(file.getvalue(), (32, 32)).shape
    (32, 32, 3)
    >>> decoders.close()
    """

    def __init__(
        self, workers: int = 2, seconds: float = 5.0, memory: int = 1_000_000_000
    ) -> None:
        positive_integer(workers, "workers")
        self.seconds = positive_number(seconds, "seconds")
        self.memory = positive_integer(memory, "memory")
        self._context = _context()
        self._closed = False
        # Idle workers; `None` is one that has to be started.
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)
        self._workers: set[_Worker] = set()
        self._lock = threading.Lock()

    def decode(
        self,
        data: bytes,
        image_size: Sequence[int] | None = None,
        max_pixels: int = 100_000_000,
        side: int | None = None,
    ) -> np.ndarray:
        """Decodes one image, as `read_image` does; waits for an idle worker.

        Args:
            data: Bytes of the file.
            image_size: Height and width to stretch to; `None` leaves the size.
            max_pixels: Integer, images with more pixels are refused.
            side: Integer, longest side to shrink to, in proportion.

        Returns:
            Array (H, W, 3), bytes.

        Raises:
            ImageError: If the image is damaged or breaks a limit.
        """
        if data[:2] == b"\xff\xd8" and data.count(b"\xff\xda") > _MOST_SCANS:
            raise ImageError(f"a JPEG image of more than {_MOST_SCANS} scans")
        worker = self._idle.get()
        try:
            if worker is None or not worker.process.is_alive():
                worker = self._started(worker)
            size = None if image_size is None else [int(side) for side in image_size]
            options = {"image_size": size, "max_pixels": max_pixels, "side": side}
            return worker.decode(data, options)
        finally:
            self._idle.put(worker)

    def start(self) -> None:
        """Starts all workers, which would otherwise start with the first images."""
        waiting = [self._idle.get() for _ in range(self._idle.qsize())]
        for worker in waiting:
            self._idle.put(self._started(worker))

    def close(self) -> None:
        """Ends the workers, whatever they do."""
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.end()
            self._workers.clear()

    def _started(self, old: _Worker | None) -> _Worker:
        with self._lock:
            if self._closed:
                raise ImageError("the server is closing")
            if old is not None:
                old.end()
                self._workers.discard(old)
            worker = _Worker(self._context, self.seconds, self.memory)
            self._workers.add(worker)
            return worker


class _Worker:
    def __init__(self, context: Any, seconds: float, memory: int) -> None:
        self.seconds, self.memory = seconds, memory
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_work, args=(theirs, seconds, memory), daemon=True
        )
        self.process.start()
        theirs.close()

    def decode(self, data: bytes, options: dict[str, Any]) -> np.ndarray:
        head = json.dumps(options).encode()
        try:
            self.connection.send_bytes(struct.pack("<I", len(head)) + head + data)
            if not self.connection.poll(_WALL_PER_CPU_SECOND * self.seconds):
                raise EOFError
            answer = self.connection.recv_bytes()
        except (EOFError, OSError):
            self.end()
            raise ImageError(
                f"it takes more than {self.seconds:g} seconds of a processor or "
                f"{self.memory / 1e6:,.0f} MB of memory to decode"
            ) from None
        if answer[:1] == _REFUSED:
            raise ImageError(answer[1:].decode("utf-8", "replace"))
        # A worker that a hostile file has taken over can send wrong pixels, no code.
        height, width = struct.unpack("<II", answer[1:9])
        return np.frombuffer(answer[9:], "uint8").reshape(height, width, 3)

    def end(self) -> None:
        self.connection.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join(timeout=5)


def _context() -> Any:
    """Processes from a small server that has read what decoding needs, once."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _work(connection: Connection, seconds: float, memory: int) -> None:
    """The life of a worker: one image after the other, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        os.nice(5)  # whoever waits for an answer to something small goes first
    _end_with_parent()
    _limit_memory(memory)
    while True:
        try:
            request = connection.recv_bytes()
        except EOFError:
            return
        size = struct.unpack("<I", request[:4])[0]
        options = json.loads(request[4 : 4 + size])
        _limit_time(seconds)
        try:
            image = _read(request[4 + size :], **options)
        except ImageError as error:
            reason = str(error)
            if isinstance(error.__cause__, MemoryError):
                reason = f"it takes more than {memory / 1e6:,.0f} MB of memory"
            # The name of the file is the server's to say.
            answer = _REFUSED + reason.partition("bytes>: ")[2].encode()
            answer = answer if len(answer) > 1 else _REFUSED + reason.encode()
        else:
            head = struct.pack("<II", *image.shape[:2])
            answer = _DONE + head + image.tobytes()
        connection.send_bytes(answer)


def _read(data: bytes, side: int | None, **options: Any) -> np.ndarray:
    image = read_image(data, **options)
    if side is None or max(image.shape) <= side:
        return image
    shown = Image.fromarray(image)
    shown.thumbnail((side, side))
    return np.asarray(shown)


def _end_with_parent() -> None:
    """Has the kernel kill this process when its parent dies, even while it decodes."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _limit_memory(memory: int) -> None:
    if sys.platform == "linux":
        import resource

        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = used + memory if hard < 0 else min(used + memory, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(seconds: float) -> None:
    """From now on; the kernel ends a process that takes more."""
    if sys.platform != "win32":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        limit = math.ceil(time.process_time() + seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))
