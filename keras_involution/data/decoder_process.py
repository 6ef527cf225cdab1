"""The program of a worker process that decodes images one by one.

    python -m keras_involution.data.decoder_process SECONDS MEMORY

It reads requests from the standard input and writes responses to the standard output.
It ends when its input ends, even during decoding. It imports neither Keras nor a
backend.
"""

from __future__ import annotations

import json
import math
import os
import queue
import struct
import sys
import threading
import time
from typing import IO, Any

import numpy as np
from PIL import Image

from keras_involution.data.images import ImageError, read_image

DONE, REFUSED = b"D", b"R"


def write_message(file: IO[bytes], *parts: bytes) -> None:
    """Writes a message: its length, then its bytes."""
    file.write(struct.pack("<Q", sum(map(len, parts))))
    for part in parts:
        file.write(part)
    file.flush()


def read_message(file: IO[bytes], most: int = sys.maxsize) -> bytes:
    """Reads a message of `write_message` with at most `most` bytes.

    Raises:
        EOFError: If the message is truncated or longer.
    """
    (size,) = struct.unpack("<Q", _read_exactly(file, 8))
    if size > most:
        raise EOFError
    return _read_exactly(file, size)


def _read_exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


def main() -> None:
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    if sys.platform != "win32":
        os.nice(5)  # Requests without images have priority.
    # Keeps output of libraries out of the responses.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    _limit_memory(memory)
    while True:
        request = requests.get()
        _limit_time(seconds)
        write_message(answers, *_answer(request, memory))


def _receive(requests: queue.SimpleQueue[bytes]) -> None:
    try:
        while True:
            requests.put(read_message(sys.stdin.buffer))
    finally:
        os._exit(0)


def _answer(request: bytes, memory: int) -> tuple[bytes, ...]:
    (size,) = struct.unpack("<I", request[:4])
    options = json.loads(request[4 : 4 + size])
    try:
        image = _read(request[4 + size :], **options)
    except ImageError as error:
        if isinstance(error.__cause__, MemoryError):
            reason = f"it takes more than {memory / 1e6:,.0f} MB of memory"
        else:  # The server adds the name of the file.
            reason = str(error).partition("bytes>: ")[2] or str(error)
        return REFUSED, reason.encode()
    return DONE, struct.pack("<II", *image.shape[:2]), image.tobytes()


def _read(data: bytes, side: int | None, **options: Any) -> np.ndarray:
    image = read_image(data, **options)
    if side is None or max(image.shape) <= side:
        return image
    shown = Image.fromarray(image)
    shown.thumbnail((side, side))
    return np.asarray(shown)


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
    """Limits the CPU time from now on. The kernel ends a process that exceeds it."""
    if sys.platform != "win32":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        limit = math.ceil(time.process_time() + seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


if __name__ == "__main__":
    main()
