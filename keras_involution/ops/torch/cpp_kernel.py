"""The operator and its gradients in C++ for the CPU (`cpp_kernel.cpp` says how).

Compiled on first use for each window, stride, dilation and number of channels of a
group, with the sizes of images left open: a few seconds each, once on a machine.
Tensors are read as they lie in memory, and half precision is widened before.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import torch

from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops.torch import _compiler
from keras_involution.ops.torch._layout import (
    channels_layout,
    taps_layout,
    three,
    wide,
    with_plain_taps,
)
from keras_involution.ops.torch._operator import define

Tensor = torch.Tensor

_SOURCE = Path(__file__).with_suffix(".cpp")
_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def _forward(inputs: Tensor, kernels: Tensor, geometry: Geometry) -> Tensor:
    dtype = wide(inputs.dtype)
    x, k = inputs.to(dtype), with_plain_taps(kernels.to(dtype), geometry)
    y = torch.empty(geometry.output_shape(x.shape), dtype=x.dtype)
    if y.numel():
        _call("involution", geometry, (x, k, y), (x, k, y, x, k))
    return y.to(inputs.dtype)


def _gradients(
    inputs: Tensor, kernels: Tensor, upstream: Tensor, geometry: Geometry
) -> tuple[Tensor, Tensor]:
    dtype = wide(inputs.dtype)
    x, k = inputs.to(dtype), with_plain_taps(kernels.to(dtype), geometry)
    dy = upstream.to(x.dtype)
    dx = torch.empty(x.shape, dtype=x.dtype)
    dk = torch.empty(k.shape, dtype=k.dtype)
    if dy.numel():
        _call("gradients", geometry, (x, k, dy, dx, dk), (x, k, dy, dx, dk))
    else:
        dx.zero_()
    return dx.to(inputs.dtype), dk.to(kernels.dtype)


def _call(
    function: str, geometry: Geometry, tensors: tuple, layouts: tuple[Tensor, ...]
) -> None:
    problem = _problem(
        geometry,
        torch.get_num_threads(),
        tuple(tensors[0].shape),
        tuple(tensor.stride() for tensor in layouts),
    )
    library = _library(_macros(geometry, tensors[0].dtype))
    assert not isinstance(library, str), library
    failed = getattr(library, function)(problem, *(t.data_ptr() for t in tensors))
    if failed:
        raise MemoryError("No memory for the copies of involution's inputs.")


@functools.lru_cache(maxsize=1024)
def _problem(
    geometry: Geometry, threads: int, shape: tuple, steps: tuple
) -> ctypes.Array:
    """The sizes and layouts that the C++ struct `Problem` lists, in its order."""
    sizes = tuple(shape[axis] for axis in geometry.spatial_axes)
    numbers = [shape[0], geometry.groups]
    numbers += three(sizes, 1) + three(geometry.output_sizes(sizes), 1) + [threads]
    x, k, y, dx, dk = steps
    for layout in (
        channels_layout(x, geometry),
        taps_layout(k, geometry),
        channels_layout(y, geometry),
        channels_layout(dx, geometry),
        taps_layout(dk, geometry),
    ):
        numbers += layout
    return (ctypes.c_ssize_t * len(numbers))(*numbers)


def _macros(geometry: Geometry, dtype: torch.dtype) -> tuple[str, ...]:
    """What the compiled library depends on."""
    listed = (
        ",".join(map(str, three(values, 1)))
        for values in (geometry.kernel_size, geometry.strides, geometry.dilation_rate)
    )
    real = "double" if dtype == torch.float64 else "float"
    return (real, str(geometry.group_channels), *listed)


@functools.cache
def _library(macros: tuple[str, ...]) -> ctypes.CDLL | str:
    names = ("REAL", "GROUP_CHANNELS", "KERNEL_SIZE", "STRIDES", "DILATION_RATE")
    library = _compiler.library(_SOURCE, dict(zip(names, macros)))
    if not isinstance(library, str):
        library.involution.argtypes = [ctypes.c_void_p] * 4
        library.gradients.argtypes = [ctypes.c_void_p] * 6
    return library


@torch.compiler.assume_constant_result
def _compiler_reason() -> str | None:
    """Why nothing can be compiled here, as RedNet's own window shows."""
    library = _library(("float", "16", "1,7,7", "1,1,1", "1,1,1"))
    return library if isinstance(library, str) else None


def _unsupported_reason(
    inputs: Tensor, kernels: Tensor, geometry: Geometry
) -> str | None:
    if inputs.device.type != "cpu":
        return f"It computes on the CPU, and the tensors are on {inputs.device}."
    if inputs.dtype not in _DTYPES:
        return f"It computes on {_DTYPES}, and the tensors are {inputs.dtype}."
    if torch.compiler.is_compiling():  # sizes may be symbols then
        return _compiler_reason()
    library = _library(_macros(geometry, inputs.dtype))
    return library if isinstance(library, str) else None


CPP = Implementation(
    "cpp", define("cpp", _forward, _gradients, "cpu"), _unsupported_reason
)
