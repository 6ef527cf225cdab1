"""Decodes untrusted images in processes with limits of time and memory.

A file of a few kilobytes can keep a decoder busy for a minute or make it allocate
gigabytes. Here only the worker that decodes it ends, and its image gets an error.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._arguments import positive_integer, positive_number
from keras_involution.data.decoder_process import REFUSED, read_message, write_message
from keras_involution.data.images import ImageError

_PROGRAM = "keras_involution.data.decoder_process"
# On a busy machine, more wall-clock time passes than the CPU time a process gets.
_WALL_PER_CPU_SECOND = 8
_MOST_SCANS = 100


class Decoders:
    """Worker processes that decode images, each within its limits.

    The workers end with this process, however it ends. A worker that breaks a limit is
    replaced.

    Args:
        workers: Integer, number of images that are decoded at the same time.
        seconds: Float, maximum CPU time of an image in seconds.
        memory: Integer, maximum memory of an image in bytes.

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
        self._closed = False
        # Idle workers; `None` is a worker that is not started yet.
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
        """Decodes an image like `read_image`; waits for an idle worker.

        Args:
            data: Bytes of the file.
            image_size: Height and width to stretch to; `None` keeps the size.
            max_pixels: Integer; images with more pixels are rejected.
            side: Integer, longest side to shrink to, keeping the aspect ratio.

        Returns:
            uint8 array (H, W, 3).

        Raises:
            ImageError: If the image is damaged or exceeds a limit.
        """
        if data[:2] == b"\xff\xd8" and data.count(b"\xff\xda") > _MOST_SCANS:
            raise ImageError(f"a JPEG image of more than {_MOST_SCANS} scans")
        worker = self._idle.get()
        try:
            if worker is None or worker.process.poll() is not None:
                worker = self._started(worker)
            size = None if image_size is None else [int(side) for side in image_size]
            options = {"image_size": size, "max_pixels": max_pixels, "side": side}
            return worker.decode(data, options)
        finally:
            self._idle.put(worker)

    def start(self) -> None:
        """Starts all workers now instead of with the first images."""
        waiting = [self._idle.get() for _ in range(self._idle.qsize())]
        for worker in waiting:
            self._idle.put(self._started(worker))

    def close(self) -> None:
        """Ends the workers, even during decoding."""
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
            worker = _Worker(self.seconds, self.memory)
            self._workers.add(worker)
            return worker


class _Worker:
    def __init__(self, seconds: float, memory: int) -> None:
        self.seconds, self.memory = seconds, memory
        paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", _PROGRAM, str(seconds), str(memory)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches only the server.
        )

    def decode(self, data: bytes, options: dict[str, Any]) -> np.ndarray:
        assert self.process.stdin is not None and self.process.stdout is not None
        head = json.dumps(options).encode()
        size = struct.pack("<I", len(head))
        timer = threading.Timer(self.seconds * _WALL_PER_CPU_SECOND, self.process.kill)
        timer.start()
        try:
            write_message(self.process.stdin, size, head, data)
            answer = read_message(self.process.stdout, _most_bytes(**options))
        except (EOFError, OSError, ValueError):  # `ValueError`: the pipe is closed.
            self.end()
            raise ImageError(
                f"it takes more than {self.seconds:g} seconds of a processor or "
                f"{self.memory / 1e6:,.0f} MB of memory to decode"
            ) from None
        finally:
            timer.cancel()
        if answer[:1] == REFUSED:
            raise ImageError(answer[1:].decode("utf-8", "replace"))
        # A worker that a malicious file controls can send wrong pixels, but no code.
        height, width = struct.unpack("<II", answer[1:9])
        return np.frombuffer(answer[9:], "uint8").reshape(height, width, 3)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # Unwritten data in the buffer.
                    pipe.close()


def _most_bytes(image_size: Sequence[int] | None, max_pixels: int, **_: Any) -> int:
    """The maximum size of a response, since a hijacked worker could claim more."""
    pixels = max_pixels if image_size is None else math.prod(image_size)
    return 3 * pixels + 10_000
