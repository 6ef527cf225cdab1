"""Checkpoints of PyTorch, `.pth` and `.pt`: with PyTorch's own safe loader where it is
installed, by a reader of plain data where it is not."""

from __future__ import annotations

import functools
import importlib.util
import io
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from keras_involution.hub.convert._pickles import (
    CONTAINERS,
    NUMPY_NAMES,
    Names,
    StandIn,
    read_pickle,
)

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_STORAGES = {
    "DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16", "LongStorage": "i8", "IntStorage": "i4",
    "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip


def read_torch(path: Path) -> Any:
    """What `torch.save` has written, with arrays in place of tensors.

    Raises:
        ValueError: If the file is damaged, or holds more than data.
    """
    if importlib.util.find_spec("torch") is not None:
        return _read_with_torch(path)
    return read_without_torch(path)


def _read_with_torch(path: Path) -> Any:
    import torch

    names = ("Float64", "Float32", "Int64", "Int32", "Bool")
    harmless = [getattr(np.dtypes, f"{name}DType") for name in names]
    scalar: Any = np.float64(0).__reduce__()[0]
    # Files of NumPy 1 ask for it by the name that it had there.
    harmless += [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype]
    with torch.serialization.safe_globals(harmless):
        found = torch.load(path, map_location="cpu", weights_only=True)
    return _arrays_of(found)


def _arrays_of(found: Any) -> Any:
    import torch

    if isinstance(found, torch.Tensor):
        tensor = found.detach()
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    if isinstance(found, dict):
        return {name: _arrays_of(value) for name, value in found.items()}
    return found


def read_without_torch(path: Path) -> Any:
    """As `read_torch`, and nothing of PyTorch is needed or called."""
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):
            return _from_zip(file)
        file.seek(0)
        return _from_sequence(file)


class _StorageType(StandIn):
    """Stands in for `torch.FloatStorage` and its like; called, it is the dtype."""


@dataclass(frozen=True, slots=True)
class _Storage:
    """The numbers of one or several tensors."""

    key: str
    dtype: np.dtype
    size: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, numbers: np.ndarray) -> np.ndarray:
        steps = [step * numbers.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(
            numbers[self.offset :], self.shape, steps, writeable=False
        )


def _storage(pid: Any) -> _Storage:
    _, kind, key, _, size, *view = pid
    if not isinstance(kind, _StorageType) or not isinstance(key, str) or any(view):
        raise pickle.UnpicklingError("it has a storage of another kind than numbers")
    if not isinstance(size, int) or size < 0:
        raise pickle.UnpicklingError(f"it has a storage of size {size}")
    return _Storage(key, kind(), size)


def _tensor(storage: Any, offset: int, shape: tuple, strides: tuple, *_: Any) -> Any:
    sizes = [offset, *shape, *strides]
    if not isinstance(storage, _Storage) or len(shape) != len(strides):
        raise pickle.UnpicklingError("it has a tensor without numbers")
    if not all(isinstance(number, int) and number >= 0 for number in sizes):
        raise pickle.UnpicklingError(f"it has a tensor of shape {shape}")
    last = offset + sum((side - 1) * step for side, step in zip(shape, strides))
    if last >= storage.size and 0 not in shape:
        raise pickle.UnpicklingError("it has a tensor that is larger than its numbers")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _names() -> Names:
    utils = "torch._utils"
    names = {
        (utils, "_rebuild_tensor"): StandIn(_tensor),
        (utils, "_rebuild_tensor_v2"): StandIn(_tensor),
        (utils, "_rebuild_parameter"): StandIn(lambda tensor, *_: tensor),
        ("torch", "Size"): StandIn(tuple),
    }
    kinds = {
        ("torch", name): _StorageType(functools.partial(_dtype, code))
        for name, code in _STORAGES.items()
    }
    return {**NUMPY_NAMES, **CONTAINERS, **names, **kinds}


def _dtype(code: str) -> np.dtype:
    if code == "bfloat16":
        from ml_dtypes import bfloat16

        return np.dtype(bfloat16)
    return np.dtype(code)


def _from_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        records = {record.filename: record for record in archive.infolist()}
        pickles = [name for name in records if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("it is an archive, but not one of PyTorch")
        if any(r.compress_type != zipfile.ZIP_STORED for r in records.values()):
            raise ValueError("it is compressed, which PyTorch's files are not")
        root = pickles[0].removesuffix("data.pkl")
        order = records.get(f"{root}byteorder")
        big = order is not None and archive.read(order) == b"big"
        found = read_pickle(io.BytesIO(archive.read(pickles[0])), _names(), _storage)

        def numbers(storage: _Storage) -> np.ndarray:
            dtype = storage.dtype.newbyteorder(">") if big else storage.dtype
            raw = archive.read(records[f"{root}data/{storage.key}"])
            return np.frombuffer(raw, dtype, count=storage.size)

        return _resolved(found, functools.cache(numbers))


def _from_sequence(file: BinaryIO) -> Any:
    """The form before PyTorch 1.6: five pickles, then the numbers of every storage."""
    if read_pickle(file, {}) != _MAGIC or read_pickle(file, {}) != _PROTOCOL:
        raise ValueError("it is no file of PyTorch")
    read_pickle(file, {})
    sizes: dict[str, int] = {}

    def storage(pid: Any) -> _Storage:
        found = _storage(pid)
        sizes[found.key] = found.dtype.itemsize * found.size
        return found

    found = read_pickle(file, _names(), storage)
    raw = {}
    for key in read_pickle(file, {}):
        file.read(8)  # how many numbers follow, which the description says as well
        raw[key] = file.read(sizes[key])

    def numbers(storage: _Storage) -> np.ndarray:
        return np.frombuffer(raw[storage.key], storage.dtype, count=storage.size)

    return _resolved(found, functools.cache(numbers))


def _resolved(
    found: Any, numbers: Callable[[_Storage], np.ndarray], depth: int = 3
) -> Any:
    """Arrays in place of tensors, in dictionaries of dictionaries."""
    if isinstance(found, _Tensor):
        return found.array(numbers(found.storage))
    if isinstance(found, dict) and depth:
        return {
            name: _resolved(value, numbers, depth - 1) for name, value in found.items()
        }
    return found
