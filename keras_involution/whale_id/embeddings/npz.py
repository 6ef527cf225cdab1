"""`.npz` files with memory-mapped arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

_LOCAL_HEADER = 30  # bytes of a member before its name, by the zip specification


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes the arrays that are not `None`, uncompressed."""
    present: dict[str, Any] = {n: a for n, a in arrays.items() if a is not None}
    with open(path, "wb") as file:
        np.savez(file, **present)


def read_npz(path: Path, mapped: str = "") -> dict[str, np.ndarray]:
    """All arrays of a file.

    Args:
        path: Path of the file.
        mapped: String; arrays whose names begin with it are memory-mapped: their bytes
            are read from disk when used.

    Raises:
        ValueError: If the file contains objects, or an array is incomplete.
    """
    # NumPy does not close a file that it cannot read.
    with path.open("rb") as data, np.load(data, allow_pickle=False) as file:
        names = list(file.files)
        large = [name for name in names if mapped and name.startswith(mapped)]
        arrays = {name: file[name] for name in names if name not in large}
    with path.open("rb") as data, zipfile.ZipFile(data) as archive:
        for name in large:
            arrays[name] = _mapped(path, data, archive, f"{name}.npy")
    return arrays


def _mapped(
    path: Path, data: BinaryIO, archive: zipfile.ZipFile, name: str
) -> np.ndarray:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        with archive.open(info) as member:
            return np.asarray(np.lib.format.read_array(member, allow_pickle=False))
    data.seek(info.header_offset)
    header = data.read(_LOCAL_HEADER)
    skipped = int.from_bytes(header[26:28], "little")
    skipped += int.from_bytes(header[28:30], "little")
    start = info.header_offset + _LOCAL_HEADER + skipped
    data.seek(start)
    version = np.lib.format.read_magic(data)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran, dtype = read(data)
    offset, count = data.tell(), int(np.prod(shape, dtype=object))
    if dtype.hasobject or offset + count * dtype.itemsize > start + info.file_size:
        raise ValueError(f"the array {name} is incomplete or contains objects")
    if not count:
        return np.zeros(shape, dtype)
    order: Literal["F", "C"] = "F" if fortran else "C"
    return np.memmap(path, dtype, "r", offset, shape, order)
