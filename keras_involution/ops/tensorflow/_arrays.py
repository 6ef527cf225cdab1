"""Groups, padding and slices of tensors whose sizes may be open."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from keras_involution.ops._geometry import Geometry


def split_groups(x: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """(B, H, W, C) to (B, H, W, G, C/G); (B, C, H, W) to (B, G, C/G, H, W)."""
    shape = sizes_of(x)
    axis = 1 if geometry.channels_first else len(shape) - 1
    shape[axis : axis + 1] = [geometry.groups, geometry.group_channels]
    return tf.reshape(x, shape)


def merge_groups(grouped: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    shape = sizes_of(grouped)
    axis = 1 if geometry.channels_first else len(shape) - 2
    shape[axis : axis + 2] = [geometry.channels]
    return tf.reshape(grouped, shape)


def merge_window(k: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """(B, Ho, Wo, G, T) or (B, G, T, Ho, Wo): LiteRT slices five axes at most."""
    shape = sizes_of(k)
    axis = 2 if geometry.channels_first else len(shape) - geometry.rank
    shape[axis : axis + geometry.rank] = [math.prod(geometry.kernel_size)]
    return tf.reshape(k, shape)


def sizes_of(array: tf.Tensor) -> list:
    return [size_of(array, axis) for axis in range(array.shape.rank)]


def size_of(array: tf.Tensor, axis: int):
    """An integer where it is known, else a scalar tensor."""
    size = array.shape[axis]
    return tf.shape(array)[axis] if size is None else size


def at_least_zero(size):
    return max(size, 0) if isinstance(size, int) else tf.maximum(size, 0)


def pad(array: tf.Tensor, axes: Sequence[int], widths: Sequence[tuple]) -> tf.Tensor:
    config: list = [(0, 0)] * array.shape.rank
    for axis, width in zip(axes, widths):
        config[axis] = width
    return tf.pad(array, config)


def cut(
    array: tf.Tensor,
    axes: Sequence[int],
    starts: Sequence[int],
    sizes: Sequence,
    steps: Sequence[int] | None = None,
) -> tf.Tensor:
    index = [slice(None)] * array.shape.rank
    for axis, start, size, step in zip(axes, starts, sizes, steps or [1] * len(axes)):
        index[axis] = slice(start, start + (size - 1) * step + 1, step)
    return array[tuple(index)]


def product(window: tf.Tensor, weight: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    weight = tf.expand_dims(wide(weight), geometry.grouped_channel_axis)
    return wide(window) * weight


def wide(array: tf.Tensor) -> tf.Tensor:
    return array if array.dtype == tf.float64 else tf.cast(array, tf.float32)


def add(total: tf.Tensor | None, term: tf.Tensor) -> tf.Tensor:
    return term if total is None else total + term
