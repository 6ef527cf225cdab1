"""Calls of the compiled kernels with torch tensors."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import torch

from keras_involution.ops._cpp import loading
from keras_involution.ops._geometry import Geometry


def call(
    function: str,
    geometry: Geometry,
    tensors: tuple[torch.Tensor, ...],
    steps: tuple[tuple[int, ...], ...],
    features: int = 0,
) -> None:
    """Calls a function of the library; the arguments are those of its `problem`."""
    library = loading.kernels()
    if isinstance(library, str):
        raise ValueError(library)
    block = _problem(
        library,
        geometry,
        tensors[0].dtype == torch.float64,
        tuple(tensors[0].shape),
        steps,
        torch.get_num_threads(),
        features,
    )
    # A tensor without elements is not requested: it is passed as a null pointer.
    places = (tensor.data_ptr() if tensor.numel() else None for tensor in tensors)
    if getattr(library, function)(block, *places):
        raise MemoryError("Not enough memory to copy the inputs of the involution.")


@functools.lru_cache(maxsize=1024)
def _problem(library: loading.Kernels, *arguments: Any) -> ctypes.Array:
    numbers = library.problem(*arguments)
    return (ctypes.c_int64 * len(numbers))(*numbers)
