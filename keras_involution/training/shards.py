"""A long file as several short ones beside it, and an index in its place."""

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
"""The array of a file .npz that is an index."""


def write_shards(path: Path, shard_bytes: int, write: Callable[[Any], None]) -> None:
    """Writes what `write` writes in shards, and at `path` the index that names them.

    New shards have names that none had before, and the index takes the place of the old
    one when they are on the disk: until then the old shards are whole, and afterwards
    they are removed, with those of writers that were killed. One process writes.

    Args:
        path: Path of the index, "*.npz"; shards are `<path>.<8 digits>.<number>`, and
            one after the other they are what was written.
        shard_bytes: Integer, the size of a shard and the most that the index may have.
        write: Function that is handed a binary file, which cannot seek.

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
        # Interrupted after the exchange, these are the shards that count.
        if _token_at(path) != shards.token:
            remove_shards(path, shards.token)
        raise
    remove_shards(path, but=shards.token)


def joined_shards(path: Path, index: np.ndarray) -> io.BytesIO:
    """What was written, from the array of an index.

    Raises:
        ValueError: If a shard is missing, or is not as it was written.
    """
    described = json.loads(index.tobytes())
    whole = io.BytesIO()
    for number, digest in enumerate(described["sha256"], 1):
        shard = shard_path(path, described["token"], number)
        if not shard.is_file():
            raise ValueError(f"its shard {shard.name} is missing")
        data = shard.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"its shard {shard.name} is not as it was written with it")
        whole.write(data)
    whole.seek(0)
    return whole


def shard_path(path: Path, token: str, number: int) -> Path:
    """Where a shard is; only a token of `write_shards` names one."""
    if not re.fullmatch("[0-9a-f]{8}", token):
        raise ValueError(f"its index names other files: {token!r}")
    return path.with_name(f"{path.name}.{token}.{number:03d}")


def find_shards(path: Path) -> list[Path]:
    """The shards of the file written at `path`, in the order of their names."""
    own = re.compile(re.escape(path.name) + r"\.[0-9a-f]{8}\.\d{3,}")
    if not path.parent.is_dir():
        return []
    return sorted(entry for entry in path.parent.iterdir() if own.fullmatch(entry.name))


def remove_shards(path: Path, token: str | None = None, but: str | None = None) -> None:
    """Removes shards of `path`: of one writing, or of all but one, or all."""
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
    """A file to write to that goes on in the next shard where one is full."""

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
        # A shard that failed is not begun again, so that its error is reported.
        self.count += 1
        # Never over another file, however unlikely it is to have the name.
        self.shard = shard_path(self.path, self.token, self.count).open("xb")
        self.digest, self.size = hashlib.sha256(), 0

    def _end(self) -> None:
        shard, self.shard = self.shard, None
        with shard:
            shard.flush()
            os.fsync(shard.fileno())
        self.digests.append(self.digest.hexdigest())
