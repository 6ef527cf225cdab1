"""The operator and its gradients in Triton, for CUDA devices.

One program computes a tile of positions by channels with its sums in registers.
Overlapping windows are read from the cache, and only the results are written. Every
result is summed by one program in a fixed order, so results are bitwise reproducible.
Triton is imported when a kernel is first launched. If `TRITON_INTERPRET=1` is set
before that, the same programs run on the CPU, for tests.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import os
from typing import Any

import torch

from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops._layout import channels_layout, taps_layout, three
from keras_involution.ops.torch._layout import with_plain_taps
from keras_involution.ops.torch._operator import define

Tensor = torch.Tensor

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_TILE = 1024  # elements of one program's sums, eight for each of its threads


def _forward(inputs: Tensor, kernels: Tensor, geometry: Geometry) -> Tensor:
    kernels = with_plain_taps(kernels, geometry)
    y = _empty(geometry.output_shape(inputs.shape), inputs)
    x_layout, k_layout, y_layout = _layouts(inputs, kernels, y, geometry)
    _launch(
        "forward",
        geometry,
        (inputs, kernels, y),
        (x_layout, k_layout, y_layout),
        (inputs, y, y),
    )
    return y


def _gradients(
    inputs: Tensor,
    kernels: Tensor,
    upstream: Tensor,
    geometry: Geometry,
    of_inputs: bool,
    of_kernels: bool,
) -> tuple[Tensor, Tensor]:
    kernels = with_plain_taps(kernels, geometry)
    dx = _empty(inputs.shape if of_inputs else 0, inputs)
    dk = _empty(kernels.shape if of_kernels else 0, kernels)
    x_layout, k_layout, y_layout = _layouts(inputs, kernels, upstream, geometry)
    if of_inputs:
        dx_layout = channels_layout(dx.stride(), geometry)
        _launch(
            "inputs_gradient",
            geometry,
            (upstream, kernels, dx),
            (y_layout, k_layout, dx_layout),
            (inputs, upstream, dx),
        )
    if of_kernels:
        dk_layout = taps_layout(dk.stride(), geometry)
        _launch(
            "kernels_gradient",
            geometry,
            (inputs, upstream, dk),
            (x_layout, y_layout, dk_layout),
            (inputs, upstream, upstream),
        )
    return dx, dk


def _empty(shape: Any, like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device)


def _layouts(x: Tensor, k: Tensor, y: Tensor, geometry: Geometry) -> tuple[list, ...]:
    return (
        channels_layout(x.stride(), geometry),
        taps_layout(k.stride(), geometry),
        channels_layout(y.stride(), geometry),
    )


def _launch(
    name: str,
    geometry: Geometry,
    tensors: tuple[Tensor, ...],
    layouts: tuple[list[int], ...],
    sizes_of: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Runs a program over the positions of the last of `(inputs, outputs, target)`."""
    import triton

    from keras_involution.ops.torch import _triton_programs as programs

    sizes = [tuple(t.shape[axis] for axis in geometry.spatial_axes) for t in sizes_of]
    count = tensors[0].shape[0] * math.prod(sizes[2])
    if not count:
        return
    block_c = min(triton.next_power_of_2(geometry.group_channels), 64)
    block_p = _TILE // block_c
    blocks_c = triton.cdiv(geometry.group_channels, block_c)
    grid = (
        triton.cdiv(count, block_p),
        geometry.groups,
        1 if name == "kernels_gradient" else blocks_c,
    )
    with _device(tensors[0]):
        getattr(programs, name)[grid](
            *tensors,
            count,
            *three(sizes[0], 1),
            *three(sizes[1], 1),
            *(step for layout in layouts for step in layout),
            *three(geometry.kernel_size, 1),
            *three(geometry.strides, 1),
            *three(geometry.dilation_rate, 1),
            geometry.group_channels,
            block_p,
            block_c,
            *_types(tensors),
        )


def _types(tensors: tuple[Tensor, ...]) -> tuple[Any, Any]:
    """The dtype of the sums, and an index dtype that can hold every offset."""
    import triton.language as tl

    large = any(t.numel() >= 2**31 for t in tensors)
    sums = tl.float64 if tensors[0].dtype == torch.float64 else tl.float32
    return sums, tl.int64 if large else tl.int32


def _device(tensor: Tensor) -> Any:
    """Selects the tensor's device: Triton launches on the current device."""
    return torch.cuda.device(tensor.device if tensor.is_cuda else -1)


@torch.compiler.assume_constant_result
def _place_reason(device_type: str) -> str | None:
    if not _installed():
        return "Triton is not installed."
    if device_type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return f"It runs on CUDA devices, and the tensors are on {device_type!r}."
    return None


@functools.cache
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None


def _unsupported_reason(
    inputs: Tensor, kernels: Tensor, geometry: Geometry
) -> str | None:
    if inputs.dtype not in _DTYPES:
        return f"It supports {_DTYPES}, and the tensors are {inputs.dtype}."
    return _place_reason(inputs.device.type)


TRITON = Implementation(
    "triton", define("triton", _forward, _gradients), _unsupported_reason
)
