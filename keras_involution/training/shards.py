"""Writes a large file as several shards and an index."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution._files import atomic_write

INDEX = "shards"
"""Name of the only array in the .npz file of an index."""


def write_shards(path: Path, shard_bytes: int, write: Callable[[Any], None]) -> None:
    """Writes the output of `write` in shards, and their index at `path`.

    New shards have new names. The index is replaced after all of them are on the disk,
    so the old file stays valid until then. Afterwards, old shards and shards of killed
    writers are removed. Only one process may write.

    Args:
        path: Path of the index, "*.npz". Shards are `<path>.<8 digits>.<number>`;
            concatenated, they are the output of `write`.
        shard_bytes: Integer, size of a shard, and the largest size of the index.
        write: Function that writes to a binary file, which is not seekable.

    Raises:
        ValueError: If the index would be larger than a shard.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    shards = _Shards(path, shard_bytes)
    try:
        with shards:
            write(shards)
        index = shards.index()
        if len(index) > shard_bytes:
            raise ValueError(
                f"The index of {len(shards.digests)} shards has {len(index)} bytes, "
                f"more than a shard. {received(shard_bytes=shard_bytes)}"
            )
        with atomic_write(path, force=True) as draft, draft.open("wb") as file:
            file.write(index)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        # If the index was already replaced, it refers to these shards.
        if _token_at(path) != shards.token:
            remove_shards(path, shards.token)
        raise
    remove_shards(path, but=shards.token)


def joined_shards(path: Path, index: np.ndarray) -> io.BytesIO:
    """Concatenates the shards of an index in memory.

    Raises:
        ValueError: If a shard is missing or has changed.
    """
    described = json.loads(index.tobytes())
    whole = io.BytesIO()
    for number, digest in enumerate(described["sha256"], 1):
        shard = shard_path(path, described["token"], number)
        if not shard.is_file():
            raise ValueError(f"its shard {shard.name} is missing")
        data = shard.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"its shard {shard.name} has a wrong checksum")
        whole.write(data)
    whole.seek(0)
    return whole


def shard_path(path: Path, token: str, number: int) -> Path:
    """Returns the path of a shard; raises if `token` is not from `write_shards`."""
    if not re.fullmatch("[0-9a-f]{8}", token):
        raise ValueError(f"its index names other files: {token!r}")
    return path.with_name(f"{path.name}.{token}.{number:03d}")


def find_shards(path: Path) -> list[Path]:
    """Returns all shards of the index at `path`, sorted by name."""
    own = re.compile(re.escape(path.name) + r"\.[0-9a-f]{8}\.\d{3,}")
    if not path.parent.is_dir():
        return []
    return sorted(entry for entry in path.parent.iterdir() if own.fullmatch(entry.name))


def remove_shards(path: Path, token: str | None = None, but: str | None = None) -> None:
    """Removes all shards of `path`, or only those of `token`, or all except `but`."""
    for shard in find_shards(path):
        own = shard.name.rsplit(".", 2)[1]
        if own != but and token in (None, own):
            shard.unlink(missing_ok=True)


def _token_at(path: Path) -> str | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return json.loads(file[INDEX].tobytes())["token"]
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, EOFError):
        return None


class _Shards(io.RawIOBase):
    """A writable file that continues in a new shard when one is full."""

    def __init__(self, path: Path, shard_bytes: int) -> None:
        self.path, self.shard_bytes = path, shard_bytes
        self.token, self.digests = secrets.token_hex(4), list[str]()
        self.shard: Any = None
        self.count = self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        count = len(rest)
        while len(rest):
            if self.shard is None:
                self._begin()
            some = rest[: self.shard_bytes - self.size]
            self.shard.write(some)
            self.digest.update(some)
            self.size, rest = self.size + len(some), rest[len(some) :]
            if self.size == self.shard_bytes:
                self._end()
        return count

    def close(self) -> None:
        if self.shard is not None:
            self._end()
        super().close()

    def index(self) -> bytes:
        described = json.dumps({"token": self.token, "sha256": self.digests})
        file = io.BytesIO()
        arrays: Any = {INDEX: np.frombuffer(described.encode(), "uint8")}
        np.savez(file, **arrays)
        return file.getvalue()

    def _begin(self) -> None:
        # Count first: if opening fails, `close` must not retry and hide the error.
        self.count += 1
        # "x" never overwrites a file.
        self.shard = shard_path(self.path, self.token, self.count).open("xb")
        self.digest, self.size = hashlib.sha256(), 0

    def _end(self) -> None:
        shard, self.shard = self.shard, None
        with shard:
            shard.flush()
            os.fsync(shard.fileno())
        self.digests.append(self.digest.hexdigest())
