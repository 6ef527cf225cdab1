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
from keras_involution.ops.torch._operator import define

Tensor = torch.Tensor

_SOURCE = Path(__file__).with_suffix(".cpp")
_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def _forward(inputs: Tensor, kernels: Tensor, geometry: Geometry) -> Tensor:
    wide = _wide(inputs.dtype)
    x, k = inputs.to(wide), _plain_taps(kernels.to(wide), geometry)
    y = x.new_empty(geometry.output_shape(x.shape))
    if y.numel():
        _call("involution", geometry, (x, k, y), (x, k, y, x, k))
    return y.to(inputs.dtype)


def _gradients(
    inputs: Tensor, kernels: Tensor, upstream: Tensor, geometry: Geometry
) -> tuple[Tensor, Tensor]:
    wide = _wide(inputs.dtype)
    x, k = inputs.to(wide), _plain_taps(kernels.to(wide), geometry)
    dy = upstream.to(wide)
    dx, dk = x.new_empty(x.shape), k.new_empty(k.shape)
    if dy.numel():
        _call("gradients", geometry, (x, k, dy, dx, dk), (x, k, dy, dx, dk))
    else:
        dx.zero_()
    return dx.to(inputs.dtype), dk.to(kernels.dtype)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _plain_taps(kernels: Tensor, geometry: Geometry) -> Tensor:
    """The kernels with one step between neighbouring taps of the whole window."""
    axes = _window_axes(geometry)
    step = _tap_step(kernels, geometry)
    for axis in reversed(axes):
        if kernels.shape[axis] > 1 and kernels.stride(axis) != step:
            return kernels.contiguous()
        step *= kernels.shape[axis]
    return kernels


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
    numbers += _three(sizes, 1) + _three(geometry.output_sizes(sizes), 1) + [threads]
    x, k, y, dx, dk = steps
    for layout in (
        _channels_layout(x, geometry),
        _taps_layout(k, geometry),
        _channels_layout(y, geometry),
        _channels_layout(dx, geometry),
        _taps_layout(dk, geometry),
    ):
        numbers += layout
    return (ctypes.c_ssize_t * len(numbers))(*numbers)


def _channels_layout(steps: tuple[int, ...], geometry: Geometry) -> list[int]:
    channel = steps[1 if geometry.channels_first else -1]
    group = channel * geometry.group_channels
    space = tuple(steps[axis] for axis in geometry.spatial_axes)
    return [steps[0], group, channel, *_three(space, 0)]


def _taps_layout(steps: tuple[int, ...], geometry: Geometry) -> list[int]:
    axes = _window_axes(geometry)
    space = tuple(steps[axis] for axis in geometry.kernel_spatial_axes)
    return [steps[0], steps[axes[0] - 1], _tap_step(steps, geometry), *_three(space, 0)]


def _window_axes(geometry: Geometry) -> tuple[int, ...]:
    first = 2 if geometry.channels_first else 2 + geometry.rank
    return tuple(range(first, first + geometry.rank))


def _tap_step(steps: tuple[int, ...] | Tensor, geometry: Geometry) -> int:
    """The step of the last axis of the window that has one."""
    if isinstance(steps, Tensor):
        steps = steps.stride()
    sides = zip(_window_axes(geometry), geometry.kernel_size)
    return next((steps[axis] for axis, side in reversed(list(sides)) if side > 1), 1)


def _three(values: tuple, missing: int) -> list:
    return [missing] * (3 - len(values)) + list(values)


def _macros(geometry: Geometry, dtype: torch.dtype) -> tuple[str, ...]:
    """What the compiled library depends on."""
    listed = (
        ",".join(map(str, _three(values, 1)))
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
def _compiler_reason(macros: tuple[str, ...]) -> str | None:
    library = _library(macros)
    return library if isinstance(library, str) else None


def _unsupported_reason(
    inputs: Tensor, kernels: Tensor, geometry: Geometry
) -> str | None:
    if inputs.device.type != "cpu":
        return f"It computes on the CPU, and the tensors are on {inputs.device}."
    if inputs.dtype not in _DTYPES:
        return f"It computes on {_DTYPES}, and the tensors are {inputs.dtype}."
    return _compiler_reason(_macros(geometry, inputs.dtype))


CPP = Implementation("cpp", define("cpp", _forward, _gradients, "cpu"), _unsupported_reason)
