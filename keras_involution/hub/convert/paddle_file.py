"""Checkpoints of Paddle, `.pdparams`: a pickle of NumPy arrays by name."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution.hub.convert._pickles import (
    CONTAINERS,
    NUMPY_NAMES,
    ArrayDraft,
    read_pickle,
)

# Names that Paddle gives the same arrays inside of a program.
_TABLE = "StructuredToParameterName@@"


def read_paddle(path: Path) -> dict[str, np.ndarray]:
    """What `paddle.save` has written of a network; Paddle is neither needed nor called.

    Raises:
        ValueError: If the file is damaged, or holds more than arrays.
    """
    with path.open("rb") as file:
        found: Any = read_pickle(file, {**NUMPY_NAMES, **CONTAINERS})
    if not isinstance(found, dict):
        raise pickle.UnpicklingError("it holds no arrays by name")
    return {
        name: value.value if isinstance(value, ArrayDraft) else value
        for name, value in found.items()
        if name != _TABLE
    }
