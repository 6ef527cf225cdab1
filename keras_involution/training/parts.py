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
from keras_involution._files import replaced_file

INDEX = "parts"
"""The array of a file .npz that is an index."""


def write_parts(path: Path, part_bytes: int, write: Callable[[Any], None]) -> None:
    """Writes what `write` writes in parts, and at `path` the index that names them.

    New parts have names that none had before, and the index takes the place of the old
    one when they are on the disk: until then the old parts are whole, and afterwards
    they are removed, with those of writers that were killed. One process writes.

    Args:
        path: Path of the index, "*.npz"; parts are `<path>.<8 digits>.<number>`, and
            one after the other they are what was written.
        part_bytes: Integer, the size of a part and the most that the index may have.
        write: Function that is handed a binary file, which cannot seek.

    Raises:
        ValueError: If the index would be larger than a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = _Parts(path, part_bytes)
    try:
        with parts:
            write(parts)
        index = parts.index()
        if len(index) > part_bytes:
            raise ValueError(
                f"The index of {len(parts.digests)} parts has {len(index)} bytes, more "
                f"than a part. {received(part_bytes=part_bytes)}"
            )
        with replaced_file(path, force=True) as draft, draft.open("wb") as file:
            file.write(index)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        # Interrupted after the exchange, these are the parts that count.
        if _token_at(path) != parts.token:
            remove_parts(path, parts.token)
        raise
    remove_parts(path, but=parts.token)


def joined_parts(path: Path, index: np.ndarray) -> io.BytesIO:
    """What was written, from the array of an index.

    Raises:
        ValueError: If a part is missing, or is not as it was written.
    """
    described = json.loads(index.tobytes())
    whole = io.BytesIO()
    for number, digest in enumerate(described["sha256"], 1):
        part = part_path(path, described["token"], number)
        if not part.is_file():
            raise ValueError(f"its part {part.name} is missing")
        data = part.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"its part {part.name} is not as it was written with it")
        whole.write(data)
    whole.seek(0)
    return whole


def part_path(path: Path, token: str, number: int) -> Path:
    """Where a part is; only a token of `write_parts` names one."""
    if not re.fullmatch("[0-9a-f]{8}", token):
        raise ValueError(f"its index names other files: {token!r}")
    return path.with_name(f"{path.name}.{token}.{number:03d}")


def find_parts(path: Path) -> list[Path]:
    """The parts of whatever was written at `path`, in the order of their names."""
    own = re.compile(re.escape(path.name) + r"\.[0-9a-f]{8}\.\d{3,}")
    if not path.parent.is_dir():
        return []
    return sorted(entry for entry in path.parent.iterdir() if own.fullmatch(entry.name))


def remove_parts(path: Path, token: str | None = None, but: str | None = None) -> None:
    """Removes parts of `path`: of one writing, or of all but one, or all."""
    for part in find_parts(path):
        own = part.name.rsplit(".", 2)[1]
        if own != but and token in (None, own):
            part.unlink(missing_ok=True)


def _token_at(path: Path) -> str | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return json.loads(file[INDEX].tobytes())["token"]
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, EOFError):
        return None


class _Parts(io.RawIOBase):
    """A file to write to that goes on in the next part where one is full."""

    def __init__(self, path: Path, part_bytes: int) -> None:
        self.path, self.part_bytes = path, part_bytes
        self.token, self.digests = secrets.token_hex(4), list[str]()
        self.part: Any = None
        self.count = self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        count = len(rest)
        while len(rest):
            if self.part is None:
                self._begin()
            some = rest[: self.part_bytes - self.size]
            self.part.write(some)
            self.digest.update(some)
            self.size, rest = self.size + len(some), rest[len(some) :]
            if self.size == self.part_bytes:
                self._end()
        return count

    def close(self) -> None:
        if self.part is not None:
            self._end()
        super().close()

    def index(self) -> bytes:
        described = json.dumps({"token": self.token, "sha256": self.digests})
        file = io.BytesIO()
        arrays: Any = {INDEX: np.frombuffer(described.encode(), "uint8")}
        np.savez(file, **arrays)
        return file.getvalue()

    def _begin(self) -> None:
        # A part that failed is not begun again: what writes goes on to say what failed.
        self.count += 1
        # Never over another file, however unlikely it is to have the name.
        self.part = part_path(self.path, self.token, self.count).open("xb")
        self.digest, self.size = hashlib.sha256(), 0

    def _end(self) -> None:
        part, self.part = self.part, None
        with part:
            part.flush()
            os.fsync(part.fileno())
        self.digests.append(self.digest.hexdigest())
