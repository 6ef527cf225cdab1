"""Groups, padding, slices and phases of arrays."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from keras_involution.ops._geometry import Geometry


def split_groups(x: jax.Array, geometry: Geometry) -> jax.Array:
    """(B, H, W, C) to (B, H, W, G, C/G); (B, C, H, W) to (B, G, C/G, H, W)."""
    axis = 1 if geometry.channels_first else x.ndim - 1
    groups = (geometry.groups, geometry.group_channels)
    return x.reshape(*x.shape[:axis], *groups, *x.shape[axis + 1 :])


def merge_groups(grouped: jax.Array, geometry: Geometry) -> jax.Array:
    axis = 1 if geometry.channels_first else grouped.ndim - 2
    shape = grouped.shape
    return grouped.reshape(*shape[:axis], geometry.channels, *shape[axis + 2 :])


def pad(array: jax.Array, axes: Sequence[int], widths: Sequence[tuple]) -> jax.Array:
    config = [(0, 0)] * array.ndim
    for axis, width in zip(axes, widths):
        config[axis] = width
    return jnp.pad(array, config)


def cut(
    array: jax.Array,
    axes: Sequence[int],
    starts: Sequence[int],
    sizes: Sequence[int],
    steps: Sequence[int] | None = None,
) -> jax.Array:
    index = [slice(None)] * array.ndim
    for axis, start, size, step in zip(axes, starts, sizes, steps or [1] * len(axes)):
        index[axis] = slice(start, start + (size - 1) * step + 1, step)
    return array[tuple(index)]


def cut_at(array: jax.Array, starts: Sequence, sizes: Sequence[int]) -> jax.Array:
    if all(isinstance(start, int) for start in starts):
        return cut(array, range(array.ndim), starts, sizes)
    starts = [jnp.asarray(start, jnp.int32) for start in starts]
    return lax.dynamic_slice(array, starts, sizes, allow_negative_indices=False)


def product(window: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    weight = jnp.expand_dims(wide(weight), geometry.grouped_channel_axis)
    return wide(window) * weight


def wide(array: jax.Array) -> jax.Array:
    return array if array.dtype == jnp.float64 else array.astype(jnp.float32)


def add(total: jax.Array | None, term: jax.Array) -> jax.Array:
    return term if total is None else total + term


def merge_last(array: jax.Array) -> jax.Array:
    return array.reshape(*array.shape[:-2], -1)


def split_phases(grouped: jax.Array, geometry: Geometry) -> jax.Array:
    """Pads, and puts one axis a spatial dimension, its phase, behind the batch."""
    axes = geometry.grouped_axes
    shape, widths, phase_axes = [], [], []
    for axis, size in enumerate(grouped.shape):
        shape.append(size)
        if axis in axes:
            padding = geometry.padding[axes.index(axis)]
            stride = geometry.strides[axes.index(axis)]
            shape[-1] = -(-(size + 2 * padding) // stride)
            widths.append((padding, shape[-1] * stride - padding - size))
            phase_axes.append(len(shape))
            shape.append(stride)
    split = pad(grouped, axes, widths).reshape(shape)
    return jnp.moveaxis(split, phase_axes, range(1, 1 + geometry.rank))
