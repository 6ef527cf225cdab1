"""Reads files of named arrays: `.safetensors` and `.npz`."""

from __future__ import annotations

import contextlib
import functools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np
from numpy.lib import format as npy

from keras_involution.hub.checkpoints.budget import (
    MAX_ARRAYS,
    Contents,
    StoredArray,
    check_budget,
    check_unpacked,
    file_bytes,
)

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SAFETENSORS = {
    "F64": "f8", "F32": "f4", "F16": "f2", "BF16": ml_dtypes.bfloat16, "I64": "i8",
    "I32": "i4", "I16": "i2", "I8": "i1", "U64": "u8", "U32": "u4", "U16": "u2",
    "U8": "u1", "BOOL": "?",
}  # fmt: skip


@contextlib.contextmanager
def open_npz(path: Path) -> Iterator[Contents]:
    """Yields the arrays of a file written by `numpy.savez`. Pickles are rejected."""
    size = file_bytes(path)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_ARRAYS:
            raise ValueError(f"it has more than {MAX_ARRAYS} arrays")
        check_unpacked((entry.file_size for entry in entries), size)
        arrays: dict[str, StoredArray] = {}
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"it has two arrays called {name[:200]!r}")
            arrays[name] = _described(archive, entry)
        check_budget(arrays, size, compressed=True)
        yield Contents(arrays)


def _described(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> StoredArray:
    if entry.compress_type not in _PLAIN:
        raise ValueError("it is compressed in a way that NumPy does not use")
    with archive.open(entry) as file:
        shape, _, dtype = _header(file)
        begin = file.tell()
    array = StoredArray(shape, dtype, functools.partial(_read, archive, entry))
    # NumPy allocates the memory that a header claims before it reads the array.
    if dtype.hasobject:
        raise ValueError("it holds Python objects (allow_pickle=False)")
    if array.nbytes != entry.file_size - begin:
        raise ValueError(
            f"{entry.filename[:200]} claims {array.nbytes} bytes and has "
            f"{entry.file_size - begin}"
        )
    return array


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"it has an array of format {version}")
    return _HEADERS[version](file)


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as file:
        # In typeshed, members of archives are not of the type `BinaryIO`.
        opened: BinaryIO = file  # type: ignore[assignment]
        return npy.read_array(opened, allow_pickle=False)


@contextlib.contextmanager
def open_safetensors(path: Path) -> Iterator[Contents]:
    """Yields the arrays of a safetensors file."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ValueError(
            'it needs safetensors: pip install "keras-involution[convert]"'
        ) from error
    size = file_bytes(path)
    try:
        with safe_open(path, framework="np") as file:
            arrays = {}
            for name in file.keys():  # noqa: SIM118 (it is no dictionary)
                part = file.get_slice(name)
                arrays[name] = StoredArray(
                    tuple(part.get_shape()),
                    _dtype(part.get_dtype()),
                    functools.partial(file.get_tensor, name),
                )
            check_budget(arrays, size)
            yield Contents(arrays)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _dtype(name: str) -> np.dtype:
    if name not in _SAFETENSORS:
        raise ValueError(f"it has an array of type {name}")
    return np.dtype(_SAFETENSORS[name])
