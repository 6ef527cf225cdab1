"""Replacements for the names that pickles of arrays use."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_involution.hub._documents import short
from keras_involution.hub.checkpoints.budget import check_shape

_NUMBERS = {
    f"{kind}{size}": np.dtype(f"{kind}{size}")
    for kind, sizes in (("f", (2, 4, 8)), ("i", (1, 2, 4, 8)), ("u", (1, 2, 4, 8)))
    for size in sizes
} | {"b1": np.dtype("bool")}


def refuse(sentence: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(sentence)


class NumberType:
    """Replaces `numpy.dtype`, for numbers in either byte order."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code, self.order = code, "="

    def set_state(self, state: Any) -> None:
        self.order = state[1]

    @property
    def dtype(self) -> np.dtype:
        known = isinstance(self.code, str) and self.code in _NUMBERS
        if not known or self.order not in ("<", ">", "|", "="):
            raise refuse(f"it has an array of type {short(self.code)}")
        number = _NUMBERS[self.code]
        return number.newbyteorder(">") if self.order == ">" else number


class ArrayDraft:
    """Replaces `numpy.ndarray`. `value` is the array after its state is set."""

    value: np.ndarray

    def set_state(self, state: Any) -> None:
        _, shape, number_type, fortran, raw = state
        self.value = _array(raw, number_type, shape, "F" if fortran else "C")


def _array(raw: Any, number_type: Any, shape: Any, order: str) -> np.ndarray:
    """An array that is a view of the bytes of the file, without a copy."""
    if not isinstance(raw, bytes) or not isinstance(number_type, NumberType):
        raise refuse("it has an array of other things than numbers")
    check_shape(shape)
    flat = np.frombuffer(raw, number_type.dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _from_buffer(raw: Any, number_type: Any, shape: Any, order: str) -> ArrayDraft:
    draft = ArrayDraft()
    draft.value = _array(raw, number_type, shape, order)
    return draft


def _scalar(number_type: Any, raw: Any = b"") -> Any:
    return _array(raw, number_type, (1,), "C")[0].item()


class UnknownObject:
    """Replaces an object of any class. It only keeps its state."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None


class Callables:
    """The names that a pickle may call, with their replacements.

    Args:
        *tables: Mappings of (module, name) -> function that is called instead.
        unknown_objects: Boolean, whether every other name is replaced by
            `UnknownObject`. Otherwise other names are rejected.
    """

    def __init__(
        self,
        *tables: Mapping[tuple[str, str], Callable[..., Any]],
        unknown_objects: bool = False,
    ) -> None:
        self._table = {key: make for table in tables for key, make in table.items()}
        self._unknown = UnknownObject if unknown_objects else None

    def find(self, module: Any, name: Any) -> StandIn:
        make = None
        if isinstance(module, str) and isinstance(name, str):
            make = self._table.get((module, name), self._unknown)
        if make is None:
            asked = f"{module}.{name}"
            raise refuse(f"it asks for `{asked[:200]}`, which no array needs")
        return StandIn(make)


class StandIn:
    """The replacement for a name in a pickle."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make


def _new_dict(*arguments: Any) -> dict[Any, Any]:
    if arguments:
        raise refuse("it makes a dictionary of something else")
    return {}


def _bytes_of(text: Any, encoding: Any = "latin1") -> bytes:
    """Decodes bytes in the form that pickle protocols below 3 write."""
    if not isinstance(text, str):
        raise refuse("it encodes something else than text")
    return text.encode("latin1")


def _numpy_names() -> dict[tuple[str, str], Callable[..., Any]]:
    names: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "ndarray"): ArrayDraft,
        ("numpy", "dtype"): NumberType,
        ("_codecs", "encode"): _bytes_of,
        ("collections", "OrderedDict"): _new_dict,
    }
    for core in ("numpy.core", "numpy._core"):
        names[core + ".multiarray", "_reconstruct"] = lambda *_: ArrayDraft()
        names[core + ".multiarray", "scalar"] = _scalar
        names[core + ".numeric", "_frombuffer"] = _from_buffer
    return names


NUMPY_NAMES = _numpy_names()
