"""The operator and its gradients in plain torch, for any device and any dtype.

Channels come before positions, so that torch's inner loops run along the rows of the
image. Each tap is one `addcmul_` of a slice of the padded inputs into a single buffer.
Automatic differentiation would keep a tensor for each tap, so the gradients are
computed as similar windowed sums instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops.torch._layout import wide
from keras_involution.ops.torch._operator import define

Tensor = torch.Tensor


def _forward(inputs: Tensor, kernels: Tensor, geometry: Geometry) -> Tensor:
    x, weights = _padded(inputs, geometry), _taps_first(kernels, geometry)
    sizes = weights.shape[4:]
    y = weights.new_zeros(*x.shape[:3], *sizes)
    for window, weight in zip(_windows(x, sizes, geometry), weights):
        y.addcmul_(window, weight)
    return _merge_channels(y, geometry).to(inputs.dtype).contiguous()


def _gradients(
    inputs: Tensor,
    kernels: Tensor,
    upstream: Tensor,
    geometry: Geometry,
    of_inputs: bool,
    of_kernels: bool,
) -> tuple[Tensor, Tensor]:
    dy = _split_channels(upstream, geometry).to(wide(inputs.dtype)).contiguous()
    dx, dk = inputs.new_empty(0), kernels.new_empty(0)
    if of_inputs:
        dx = _inputs_gradient(inputs, kernels, dy, geometry)
    if of_kernels:
        dk = _kernels_gradient(inputs, dy, geometry)
    return dx.to(inputs.dtype).contiguous(), dk.to(kernels.dtype).contiguous()


def _inputs_gradient(
    inputs: Tensor, kernels: Tensor, dy: Tensor, geometry: Geometry
) -> Tensor:
    weights = _taps_first(kernels, geometry)
    dx = _zeros_around(inputs, geometry)
    for total, weight in zip(_windows(dx, dy.shape[3:], geometry), weights):
        total.addcmul_(weight, dy)
    return _merge_channels(_interior(dx, inputs, geometry), geometry)


def _kernels_gradient(inputs: Tensor, dy: Tensor, geometry: Geometry) -> Tensor:
    x = _padded(inputs, geometry)
    taps = math.prod(geometry.kernel_size)
    dweights = dy.new_empty(taps, *dy.shape[:2], 1, *dy.shape[3:])
    product = torch.empty_like(dy)
    for window, dweight in zip(_windows(x, dy.shape[3:], geometry), dweights):
        torch.mul(window, dy, out=product)
        torch.sum(product, 2, keepdim=True, out=dweight)
    return _taps_back(dweights, geometry)


def _split_channels(inputs: Tensor, geometry: Geometry) -> Tensor:
    """(B, H, W, C) or (B, C, H, W) to (B, G, C/G, H, W)."""
    if not geometry.channels_first:
        inputs = inputs.movedim(-1, 1)
    return inputs.unflatten(1, (geometry.groups, geometry.group_channels))


def _merge_channels(outputs: Tensor, geometry: Geometry) -> Tensor:
    outputs = outputs.flatten(1, 2)
    return outputs if geometry.channels_first else outputs.movedim(1, -1)


def _padded(inputs: Tensor, geometry: Geometry) -> Tensor:
    """(B, G, C/G, H + 2 padding, W + 2 padding), in the dtype of the sums."""
    padded = _zeros_around(inputs, geometry)
    _interior(padded, inputs, geometry).copy_(_split_channels(inputs, geometry))
    return padded


def _zeros_around(inputs: Tensor, geometry: Geometry) -> Tensor:
    """Zeros of the shape of the padded inputs."""
    grouped = _split_channels(inputs, geometry)
    sizes = [n + 2 * p for n, p in zip(grouped.shape[3:], geometry.padding)]
    return grouped.new_zeros(*grouped.shape[:3], *sizes, dtype=wide(inputs.dtype))


def _interior(padded: Tensor, inputs: Tensor, geometry: Geometry) -> Tensor:
    for axis, side in zip(geometry.spatial_axes, geometry.padding):
        size = inputs.shape[axis]
        padded = padded.narrow(axis - geometry.spatial_axes[0] + 3, side, size)
    return padded


def _taps_first(kernels: Tensor, geometry: Geometry) -> Tensor:
    """(Kh * Kw, B, G, 1, Ho, Wo), in the dtype of the sums."""
    if not geometry.channels_first:
        spatial = geometry.kernel_spatial_axes
        kernels = kernels.movedim(spatial, tuple(range(-geometry.rank, 0)))
    taps = kernels.flatten(2, 1 + geometry.rank).movedim(2, 0).unsqueeze(3)
    return taps.to(wide(kernels.dtype)).contiguous()


def _taps_back(taps: Tensor, geometry: Geometry) -> Tensor:
    kernels = taps.squeeze(3).movedim(0, 2).unflatten(2, geometry.kernel_size)
    if geometry.channels_first:
        return kernels
    return kernels.movedim(
        tuple(range(-geometry.rank, 0)), geometry.kernel_spatial_axes
    )


def _windows(padded: Tensor, sizes: torch.Size, geometry: Geometry) -> Iterator[Tensor]:
    """For each tap, the slice of the padded inputs that it reads."""
    for tap in geometry.taps():
        window = padded
        places = zip(geometry.offset(tap), sizes, geometry.strides)
        for axis, (start, size, step) in enumerate(places, start=3):
            stop = start + (size - 1) * step + 1
            index = (slice(None),) * axis + (slice(start, stop, step),)
            window = window[index]
        yield window


NATIVE = Implementation(
    "native", define("native", _forward, _gradients), lambda *arguments: None
)
