"""Groups, padding, slices and phases in `keras.ops`; sizes may be unknown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import keras
from keras import ops

from keras_involution._typing import Tensor
from keras_involution.ops._geometry import Geometry


def split_groups(inputs: Tensor, geometry: Geometry) -> Tensor:
    """(B, H, W, C) to (B, H, W, G, C/G); (B, C, H, W) to (B, G, C/G, H, W)."""
    shape = list(ops.shape(inputs))
    axis = 1 if geometry.channels_first else len(shape) - 1
    shape[axis : axis + 1] = [geometry.groups, geometry.group_channels]
    return ops.reshape(inputs, shape)


def merge_groups(grouped: Tensor, geometry: Geometry) -> Tensor:
    shape = list(ops.shape(grouped))
    axis = 1 if geometry.channels_first else len(shape) - 2
    shape[axis : axis + 2] = [geometry.channels]
    return ops.reshape(grouped, shape)


def merge_window(kernels: Tensor, geometry: Geometry) -> Tensor:
    """(B, Ho, Wo, G, T) or (B, G, T, Ho, Wo): LiteRT slices at most five axes."""
    shape = list(ops.shape(kernels))
    axis = 2 if geometry.channels_first else len(shape) - geometry.rank
    shape[axis : axis + geometry.rank] = [math.prod(geometry.kernel_size)]
    return ops.reshape(kernels, shape)


def pad(array: Tensor, axes: Sequence[int], widths: Sequence[tuple]) -> Tensor:
    config: list = [(0, 0)] * len(array.shape)
    for axis, width in zip(axes, widths):
        config[axis] = width
    return ops.pad(array, config)


def pad_borders(grouped: Tensor, geometry: Geometry) -> Tensor:
    """Adds the zeros that windows read outside the image."""
    widths = [(size, size) for size in geometry.padding]
    return pad(grouped, geometry.grouped_axes, widths)


def cut(
    array: Tensor,
    axes: Sequence[int],
    starts: Sequence,
    sizes: Sequence,
    steps: Sequence[int] | None = None,
) -> Tensor:
    index = [slice(None)] * len(array.shape)
    for axis, start, size, step in zip(axes, starts, sizes, steps or [1] * len(axes)):
        index[axis] = slice(start, start + (size - 1) * step + 1, step)
    return array[tuple(index)]


def windows(padded: Tensor, sizes: Sequence, geometry: Geometry) -> Iterator[Tensor]:
    """For each tap, the slice of the padded inputs that the outputs read."""
    for tap in geometry.taps():
        start = geometry.offset(tap)
        yield cut(padded, geometry.grouped_axes, start, sizes, geometry.strides)


def split_phases(grouped: Tensor, geometry: Geometry) -> Tensor:
    """Pads, and adds one phase axis per spatial dimension after the batch axis."""
    axes = geometry.grouped_axes
    shape: list = []
    widths, phase_axes, other_axes = [], [], []
    for axis, size in enumerate(ops.shape(grouped)):
        other_axes.append(len(shape))
        shape.append(size)
        if axis in axes:
            padding = geometry.padding[axes.index(axis)]
            stride = geometry.strides[axes.index(axis)]
            shape[-1] = -(-(size + 2 * padding) // stride)
            widths.append((padding, shape[-1] * stride - padding - size))
            phase_axes.append(len(shape))
            shape.append(stride)
    split = ops.reshape(pad(grouped, axes, widths), shape)
    return ops.transpose(split, [0, *phase_axes, *other_axes[1:]])


def merge_phases(phases: list[Tensor], geometry: Geometry) -> Tensor:
    """Merges one grid per phase, in `itertools.product` order, into the whole grid."""
    shape = list(ops.shape(phases[0]))
    stacked = ops.reshape(ops.stack(phases), [*geometry.strides, *shape])
    order: list[int] = []
    for axis in range(len(shape)):
        order.append(geometry.rank + axis)
        if axis in geometry.grouped_axes:
            order.append(geometry.grouped_axes.index(axis))
    for axis, stride in zip(geometry.grouped_axes, geometry.strides):
        shape[axis] *= stride
    return ops.reshape(ops.transpose(stacked, order), shape)


def wide(array: Tensor) -> Tensor:
    """Casts to the dtype of the sums."""
    dtype = keras.backend.standardize_dtype(array.dtype)
    return array if dtype == "float64" else ops.cast(array, "float32")
