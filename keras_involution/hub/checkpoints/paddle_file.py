"""Reads Paddle checkpoints (`.pdparams`), which are pickles of named NumPy arrays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from keras_involution.hub.checkpoints.budget import (
    BoundedFile,
    Contents,
    StoredArray,
    check_budget,
    file_bytes,
)
from keras_involution.hub.checkpoints.pickles import read_pickle
from keras_involution.hub.checkpoints.stand_ins import (
    NUMPY_NAMES,
    ArrayDraft,
    Callables,
    refuse,
)

# The key with the names of the arrays in a Paddle program, which are not needed.
_TABLE = "StructuredToParameterName@@"


@contextlib.contextmanager
def open_paddle(path: Path) -> Iterator[Contents]:
    """Yields the arrays of a network saved by `paddle.save`. Paddle is not needed.

    Raises:
        ValueError: If the file is damaged, or holds other objects than arrays.
    """
    size = file_bytes(path)
    with path.open("rb") as file:
        found = read_pickle(BoundedFile(file), Callables(NUMPY_NAMES))
    if not isinstance(found, dict):
        raise refuse("it holds no arrays by name")
    arrays = {
        name: stored_array(name, value)
        for name, value in found.items()
        if name != _TABLE
    }
    check_budget(arrays, size)
    yield Contents(arrays)


def stored_array(name: object, value: object) -> StoredArray:
    """The description of an array in a pickle, which must have a string as its name."""
    if not isinstance(name, str) or not isinstance(value, ArrayDraft):
        raise refuse(f"{str(name)[:200]!r} is no array but {type(value).__name__}")
    array = value.value
    return StoredArray(array.shape, array.dtype, lambda: array)
