"""Pickles as data: what they hold is rebuilt from a short list, nothing is called.

A pickle is a program. Its opcodes are read once before it runs, and a name that it asks
for is answered by a stand-in of this file or by an error, never by an import.
"""

from __future__ import annotations

import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

_NUMBERS = {
    f"{kind}{size}": np.dtype(f"{kind}{size}")
    for kind, sizes in (("f", (2, 4, 8)), ("i", (1, 2, 4, 8)), ("u", (1, 2, 4, 8)))
    for size in sizes
} | {"b1": np.dtype("bool")}
_FORBIDDEN = {
    "BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER",
    "EXT1", "EXT2", "EXT4", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX",
}  # fmt: skip
_MOST_MEMORIES = 10_000_000


class NumberType:
    """Stands in for `numpy.dtype`: numbers only, in their byte order."""

    def __init__(self, code: str = "", *_: Any) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]

    @property
    def dtype(self) -> np.dtype:
        if self.code not in _NUMBERS or self.order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"it has an array of type {self.code!r}")
        number = _NUMBERS[self.code]
        return number.newbyteorder(">") if self.order == ">" else number


class ArrayDraft:
    """Stands in for `numpy.ndarray`; `value` is the array once its state is set."""

    value: np.ndarray

    def __setstate__(self, state: tuple) -> None:
        _, shape, number_type, fortran, raw = state
        self.value = _array(raw, number_type, shape, "F" if fortran else "C")


def _array(raw: Any, number_type: Any, shape: tuple, order: str) -> np.ndarray:
    if not isinstance(raw, bytes) or not isinstance(number_type, NumberType):
        raise pickle.UnpicklingError("it has an array of other things than numbers")
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise pickle.UnpicklingError(f"it has an array of shape {shape}")
    flat = np.frombuffer(raw, number_type.dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _from_buffer(raw: Any, number_type: Any, shape: tuple, order: str) -> ArrayDraft:
    draft = ArrayDraft()
    draft.value = _array(raw, number_type, shape, order)
    return draft


def _scalar(number_type: Any, raw: Any = b"") -> Any:
    return _array(raw, number_type, (1,), "C")[0].item()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Python 2's bytes, as protocols below 3 write them."""
    return text.encode("latin1")


class StandIn:
    """Answers for a name. It cannot be changed by what a pickle does to it."""

    __slots__ = ("_make",)
    _make: Callable[..., Any]

    def __init__(self, make: Callable[..., Any]) -> None:
        object.__setattr__(self, "_make", make)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError(f"it sets `{name}` of a name that it asks for")

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)


Names = Mapping[tuple[str, str], Any]


def _numpy_names() -> dict[tuple[str, str], StandIn]:
    names = {
        ("numpy", "ndarray"): StandIn(ArrayDraft),
        ("numpy", "dtype"): StandIn(NumberType),
        ("_codecs", "encode"): StandIn(_encode),
    }
    for core in ("numpy.core", "numpy._core"):
        names[core + ".multiarray", "_reconstruct"] = StandIn(lambda *_: ArrayDraft())
        names[core + ".multiarray", "scalar"] = StandIn(_scalar)
        names[core + ".numeric", "_frombuffer"] = StandIn(_from_buffer)
    return names


NUMPY_NAMES: Names = _numpy_names()
CONTAINERS: Names = {("collections", "OrderedDict"): StandIn(OrderedDict)}


class _Reader(pickle.Unpickler):
    def __init__(
        self,
        file: BinaryIO,
        names: Names,
        persistent: Callable[[Any], Any] | None,
    ) -> None:
        super().__init__(file)
        self._names, self._persistent = names, persistent

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._names[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for `{module}.{name}`, which no array needs"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent is None:
            raise pickle.UnpicklingError("it refers to data outside of itself")
        return self._persistent(pid)


def read_pickle(
    file: BinaryIO,
    names: Names,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """The next pickle of a file, made of plain values and of what `names` answers.

    Args:
        file: Open file; it stands behind the pickle afterwards.
        names: (module, name) -> stand-in that is called in its place.
        persistent: Function that answers references to data outside of the pickle.

    Raises:
        pickle.UnpicklingError: If the pickle asks for anything else.
    """
    begin = file.tell()
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name in _FORBIDDEN:
            raise pickle.UnpicklingError(f"it has the instruction {opcode.name}")
        # The memory that C's unpickler takes at once grows with this number.
        if "PUT" in opcode.name and int(argument or 0) > _MOST_MEMORIES:
            raise pickle.UnpicklingError("it asks for more memory than it can need")
    file.seek(begin)
    return _Reader(file, names, persistent).load()
