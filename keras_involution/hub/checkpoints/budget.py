"""Limits on the memory that reading a checkpoint file may take.

An uncompressed file of N bytes holds at most N bytes of arrays. A file that claims more
(by a large shape, a stride of zero, or two entries on the same bytes) is rejected from
its description, before an array is allocated.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from keras_involution.hub._documents import short

MAX_FILE_BYTES = 2**31
MAX_ARRAYS = 10_000
MAX_DIMENSIONS = 8
MAX_NAME = 500
# RedNet-152 has 34 million elements, 137 MB in float32 and 273 MB in float64.
MAX_UNPACKED_BYTES = 300_000_000
MAX_UNPACKED_ELEMENTS = 2**26
_SMALL_READ = 4096
_MAX_LINE = 2**16


@dataclass(frozen=True)
class StoredArray:
    """The description of an array that is not read yet.

    Attributes:
        shape: Tuple of integers.
        dtype: NumPy dtype.
        read: Function without arguments that reads the array.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def transposed(self) -> StoredArray:
        return StoredArray(self.shape[::-1], self.dtype, lambda: self.read().T)


@dataclass(frozen=True)
class Contents:
    """The contents of a checkpoint file.

    Attributes:
        arrays: Dictionary of name in the file -> `StoredArray`.
        meta: Mapping of the other plain values in the file.
    """

    arrays: dict[str, StoredArray]
    meta: Mapping[Any, Any] = field(default_factory=dict)


def file_bytes(path: Path) -> int:
    """The size of a checkpoint file in bytes.

    Raises:
        ValueError: If the file is empty or larger than 2 GiB.
    """
    size = path.stat().st_size
    if not 0 < size <= MAX_FILE_BYTES:
        raise ValueError(f"it has {size} bytes, where 1 to {MAX_FILE_BYTES} are read")
    return size


def check_budget(
    arrays: Mapping[str, StoredArray], file_size: int, compressed: bool = False
) -> None:
    """Checks that arrays together are not larger than their file can hold.

    Raises:
        ValueError: If there are too many arrays, a shape is invalid, or their total
            size is larger than the file can hold.
    """
    if len(arrays) > MAX_ARRAYS:
        raise ValueError(f"it has {len(arrays)} arrays; {MAX_ARRAYS} are read at most")
    for name, array in arrays.items():
        if len(name) > MAX_NAME:
            raise ValueError(f"the name {short(name)} is longer than {MAX_NAME}")
        check_shape(array.shape)
    most = max(file_size, MAX_UNPACKED_BYTES) if compressed else file_size
    total = sum(array.nbytes for array in arrays.values())
    if total > most:
        raise ValueError(f"its arrays claim {total} bytes, and it can hold {most}")
    elements = sum(math.prod(array.shape) for array in arrays.values())
    if elements > max(file_size, MAX_UNPACKED_ELEMENTS):
        raise ValueError(f"it holds {elements} numbers, more than any RedNet has")


def check_unpacked(sizes: Iterable[int], file_size: int) -> None:
    """Raises `ValueError` if an archive unpacks to more bytes than any RedNet has."""
    if (total := sum(sizes)) > max(file_size, MAX_UNPACKED_BYTES):
        raise ValueError(
            f"it unpacks to {total} bytes, and {MAX_UNPACKED_BYTES} are read at most"
        )


def check_shape(shape: Any) -> None:
    """Raises `ValueError` unless `shape` is a tuple of a few moderate sizes."""
    sides = isinstance(shape, tuple) and len(shape) <= MAX_DIMENSIONS
    if not sides or not all(type(s) is int and 0 <= s < 2**31 for s in shape):
        raise ValueError(f"it has an array of shape {short(shape)}")


class BoundedFile:
    """An open file whose reads are limited to its size.

    `BufferedReader.read(n)` allocates `n` bytes first, and `n` may come from the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        begin = file.tell()
        self.size = file.seek(0, io.SEEK_END)
        file.seek(begin)

    def read(self, size: int) -> bytes:
        if 0 <= size <= _SMALL_READ:
            return self._file.read(size)
        left = self.size - self._file.tell()
        return self._file.read(max(0, min(size, left)))

    def readline(self) -> bytes:
        return self._file.readline(_MAX_LINE)

    def tell(self) -> int:
        return self._file.tell()
