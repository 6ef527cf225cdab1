"""Reads PyTorch checkpoints (`.pth`, `.pt`) as plain data, without PyTorch."""

from __future__ import annotations

import contextlib
import functools
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from keras_involution.hub._documents import short
from keras_involution.hub.checkpoints.budget import (
    BoundedFile,
    Contents,
    StoredArray,
    check_budget,
    check_shape,
    file_bytes,
)
from keras_involution.hub.checkpoints.paddle_file import stored_array
from keras_involution.hub.checkpoints.pickles import MAX_STEPS, read_pickle
from keras_involution.hub.checkpoints.stand_ins import (
    NUMPY_NAMES,
    ArrayDraft,
    Callables,
    StandIn,
    refuse,
)

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_MAX_PICKLE_BYTES = 64 * 2**20
_MAX_OBJECT_STEPS = 1_000_000
_STORAGES: dict[str, np.dtype] = {
    "DoubleStorage": np.dtype("f8"), "FloatStorage": np.dtype("f4"),
    "HalfStorage": np.dtype("f2"), "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("i8"), "IntStorage": np.dtype("i4"),
    "ShortStorage": np.dtype("i2"), "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"), "BoolStorage": np.dtype("?"),
}  # fmt: skip


@contextlib.contextmanager
def open_torch(path: Path) -> Iterator[Contents]:
    """Yields the arrays saved by `torch.save`, also by versions before PyTorch 1.6.

    Raises:
        ValueError: If the file is damaged, or holds other objects than data.
    """
    size = file_bytes(path)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        if zipfile.is_zipfile(file):
            archive = stack.enter_context(zipfile.ZipFile(file))
            found, numbers = _from_zip(archive)
        else:
            file.seek(0)
            found, numbers = _from_sequence(file)
        contents = _contents(found, functools.cache(numbers), size)
        check_budget(contents.arrays, size)
        yield contents


Numbers = Callable[["_Storage"], np.ndarray]


@contextlib.contextmanager
def open_torch_objects(
    path: Path,
) -> Iterator[tuple[Any, Callable[[Any], StoredArray | None]]]:
    """Reads objects of any class saved by `torch.save`, without creating the classes.

    Every object is an `UnknownObject` that keeps its state. Containers are as in the
    file: they may be shared and may contain themselves. The second value is a function
    that describes tensors and arrays, and returns `None` for other values.

    Raises:
        ValueError: If the file is damaged, or from before PyTorch 1.6.
    """
    file_bytes(path)
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is not a file of PyTorch 1.6 or later")
        with zipfile.ZipFile(file) as archive:
            names = _callables(unknown_objects=True)
            found, numbers = _from_zip(archive, names, _MAX_OBJECT_STEPS)
            yield found, functools.partial(_described, functools.cache(numbers))


def _described(numbers: Numbers, value: Any) -> StoredArray | None:
    if isinstance(value, _Tensor | ArrayDraft):
        return _stored("an object", value, numbers)
    return None


@dataclass(frozen=True, slots=True)
class _Storage:
    """The storage of one or more tensors."""

    key: str
    dtype: np.dtype
    size: int

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, numbers: np.ndarray) -> np.ndarray:
        steps = [step * numbers.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(
            numbers[self.offset :], self.shape, steps, writeable=False
        )


def _storage(pid: Any) -> _Storage:
    if not isinstance(pid, tuple) or not 5 <= len(pid) <= 6 or any(pid[5:]):
        raise refuse("it refers to something else than numbers")
    _, kind, key, _, size = pid[:5]
    dtype = kind.make() if isinstance(kind, StandIn) else None
    if not isinstance(dtype, np.dtype) or not isinstance(key, str):
        raise refuse("it has a storage of another kind than numbers")
    if type(size) is not int or not 0 <= size < 2**40:
        raise refuse(f"it has a storage of size {short(size)}")
    return _Storage(key, dtype, size)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise refuse("it has a tensor without numbers")
    check_shape(shape)
    check_shape(strides)
    if type(offset) is not int or offset < 0 or len(shape) != len(strides):
        raise refuse(f"it has a tensor of shape {short(shape)}")
    last = offset + sum((side - 1) * step for side, step in zip(shape, strides))
    if last >= storage.size and 0 not in shape:
        raise refuse("it has a tensor that is larger than its numbers")
    return _Tensor(storage, offset, shape, strides)


def _size(sides: Any = ()) -> tuple[int, ...]:
    sides = tuple(sides) if isinstance(sides, list) and len(sides) < 64 else sides
    check_shape(sides)
    return sides


def _callables(unknown_objects: bool = False) -> Callables:
    utils = "torch._utils"
    kinds = {("torch", name): _constant(dtype) for name, dtype in _STORAGES.items()}
    tensors: dict[tuple[str, str], Callable[..., Any]] = {
        (utils, "_rebuild_tensor"): _tensor,
        (utils, "_rebuild_tensor_v2"): _tensor,
        (utils, "_rebuild_parameter"): lambda tensor, *_: tensor,
        ("torch", "Size"): _size,
    }
    tables = (NUMPY_NAMES, tensors, kinds)
    return Callables(*tables, unknown_objects=unknown_objects)


def _constant(dtype: np.dtype) -> Callable[..., Any]:
    return lambda: dtype


def _from_zip(
    archive: zipfile.ZipFile, names: Callables | None = None, max_steps: int = MAX_STEPS
) -> tuple[Any, Numbers]:
    records = {record.filename: record for record in archive.infolist()}
    pickles = [name for name in records if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError("it is an archive, but not one of PyTorch")
    if any(r.compress_type != zipfile.ZIP_STORED for r in records.values()):
        raise ValueError("it is compressed, which PyTorch's files are not")
    if records[pickles[0]].file_size > _MAX_PICKLE_BYTES:
        raise ValueError(f"its description is larger than {_MAX_PICKLE_BYTES} bytes")
    root = pickles[0].removesuffix("data.pkl")
    order = records.get(f"{root}byteorder")
    big = order is not None and order.file_size == 3 and archive.read(order) == b"big"
    text = BoundedFile(io.BytesIO(archive.read(pickles[0])))

    def numbers(storage: _Storage) -> np.ndarray:
        record = records.get(f"{root}data/{storage.key}")
        if record is None or record.file_size != storage.nbytes:
            raise ValueError(f"the numbers of {short(storage.key)} are incomplete")
        dtype = storage.dtype.newbyteorder(">") if big else storage.dtype
        return np.frombuffer(archive.read(record), dtype, count=storage.size)

    return read_pickle(text, names or _callables(), _storage, max_steps), numbers


def _from_sequence(opened: BinaryIO) -> tuple[Any, Numbers]:
    """Reads the format before PyTorch 1.6: five pickles, then every storage."""
    file, nothing = BoundedFile(opened), Callables()
    if read_pickle(file, nothing) != _MAGIC or read_pickle(file, nothing) != _PROTOCOL:
        raise ValueError("it is no file of PyTorch")
    read_pickle(file, nothing)
    storages: dict[str, _Storage] = {}

    def storage(pid: Any) -> _Storage:
        found = _storage(pid)
        return storages.setdefault(found.key, found)

    found = read_pickle(file, _callables(), storage)
    places: dict[str, int] = {}
    for key in _keys(read_pickle(file, nothing), storages):
        # The number of elements is stored here as well as in the description.
        places[key] = file.tell() + 8
        opened.seek(places[key] + storages[key].nbytes)
    if file.tell() > file.size:
        raise ValueError("its numbers are incomplete")

    def numbers(storage: _Storage) -> np.ndarray:
        opened.seek(places[storage.key])
        return np.frombuffer(file.read(storage.nbytes), storage.dtype)

    return found, numbers


def _keys(keys: Any, storages: Mapping[str, _Storage]) -> list[str]:
    plain = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not plain or set(keys) != set(storages) or len(keys) != len(storages):
        raise ValueError("its list of numbers is not that of its tensors")
    return keys


def _contents(found: Any, numbers: Numbers, size: int) -> Contents:
    """The arrays at the top level of the file, or under the key `state_dict`."""
    meta: Any = {}
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        meta, found = found.get("meta"), found["state_dict"]
    if not isinstance(found, dict):
        raise ValueError("it holds no arrays by name")
    storages = {v.storage for v in found.values() if isinstance(v, _Tensor)}
    if (total := sum(storage.nbytes for storage in storages)) > size:
        raise ValueError(f"its tensors claim {total} bytes, and it has {size}")
    arrays = {name: _stored(name, value, numbers) for name, value in found.items()}
    return Contents(arrays, meta if isinstance(meta, dict) else {})


def _stored(name: Any, value: Any, numbers: Numbers) -> StoredArray:
    if not isinstance(name, str) or not isinstance(value, _Tensor):
        return stored_array(name, value)
    dtype = value.storage.dtype
    return StoredArray(value.shape, dtype, lambda: value.view(numbers(value.storage)))
