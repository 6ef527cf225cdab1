"""The operator in `keras.ops`: any backend, any size, gradients by the framework.

The input is padded once; for each tap a strided slice of it is multiplied by that
tap's weights and added up, so nothing of K * K times the input exists at any time.
"""

from __future__ import annotations

import math

import keras
from keras import ops

from keras_involution._typing import Tensor
from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation


def involution(inputs: Tensor, kernels: Tensor, geometry: Geometry) -> Tensor:
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    wide = "float64" if dtype == "float64" else "float32"
    # Cast before the taps part, so that the gradients too are summed in `wide`.
    kernels = ops.cast(kernels, wide)
    padded = _pad(_split_groups(ops.cast(inputs, wide), geometry), geometry)
    sizes = [ops.shape(kernels)[axis] for axis in geometry.kernel_spatial_axes]
    weights = _merge_window(kernels, geometry)
    total = None
    for number, tap in enumerate(geometry.taps()):
        window = padded[_window_slice(tap, sizes, geometry)]
        weight = (
            weights[:, :, number] if geometry.channels_first else weights[..., number]
        )
        weight = ops.expand_dims(weight, _channel_axis(geometry))
        term = window * weight
        total = term if total is None else total + term
    shape = list(ops.shape(kernels)[:1]) + sizes
    shape.insert(1 if geometry.channels_first else len(shape), geometry.channels)
    return ops.cast(ops.reshape(total, shape), dtype)


def _split_groups(inputs: Tensor, geometry: Geometry) -> Tensor:
    """(B, H, W, C) to (B, H, W, G, C/G); (B, C, H, W) to (B, G, C/G, H, W)."""
    shape = list(ops.shape(inputs))
    axis = 1 if geometry.channels_first else len(shape) - 1
    shape[axis : axis + 1] = [geometry.groups, geometry.group_channels]
    return ops.reshape(inputs, shape)


def _spatial(geometry: Geometry) -> tuple[int, ...]:
    """Spatial axes once the channels are split into groups."""
    first = 3 if geometry.channels_first else 1
    return tuple(range(first, first + geometry.rank))


def _channel_axis(geometry: Geometry) -> int:
    return 2 if geometry.channels_first else -1


def _pad(grouped: Tensor, geometry: Geometry) -> Tensor:
    widths = [(0, 0)] * (geometry.rank + 3)
    for axis, size in zip(_spatial(geometry), geometry.padding):
        widths[axis] = (size, size)
    return ops.pad(grouped, widths)


def _window_slice(tap: tuple[int, ...], sizes: list, geometry: Geometry) -> tuple:
    index: list = [slice(None)] * (geometry.rank + 3)
    starts = geometry.offset(tap)
    for axis, start, size, step in zip(
        _spatial(geometry), starts, sizes, geometry.strides
    ):
        index[axis] = slice(start, start + (size - 1) * step + 1, step)
    return tuple(index)


def _merge_window(kernels: Tensor, geometry: Geometry) -> Tensor:
    """(B, Ho, Wo, G, T) or (B, G, T, Ho, Wo): LiteRT slices five axes at most."""
    shape = list(ops.shape(kernels))
    axis = 2 if geometry.channels_first else len(shape) - geometry.rank
    shape[axis : axis + geometry.rank] = [math.prod(geometry.kernel_size)]
    return ops.reshape(kernels, shape)


PORTABLE = Implementation(
    "portable", involution, lambda inputs, kernels, geometry: None
)
