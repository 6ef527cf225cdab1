"""The gradient for the kernels: sums over the channels of a group.

XLA does not vectorise a sum over the innermost axis on a CPU, so there the channels are
moved outwards and the loop runs over the positions, an image and a tap at a time: an
image stays in the cache and the program is one small loop body. Elsewhere every tap's
product is reduced in place, which XLA fuses.
"""

from __future__ import annotations

import math

import tensorflow as tf

from keras_involution.ops._geometry import Geometry
from keras_involution.ops.tensorflow._arrays import (
    cut,
    pad,
    size_of,
    sizes_of,
    split_groups,
    wide,
)

# Longest sum over channels that is written out; longer ones loop over blocks.
_UNROLLED_CHANNELS = 16


def kernels_gradient(geometry: Geometry, x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
    if all(device.device_type == "CPU" for device in tf.config.list_logical_devices()):
        dk = _kernels_gradient_by_loops(geometry, x, dy)
    else:
        dk = _kernels_gradient_by_reduction(geometry, x, dy)
    sizes = [size_of(dy, axis) for axis in geometry.spatial_axes]
    weights = [geometry.groups, *geometry.kernel_size]
    shape = [*weights, *sizes] if geometry.channels_first else [*sizes, *weights]
    dk = tf.reshape(dk, [size_of(x, 0), *shape])
    return tf.ensure_shape(dk, geometry.kernels_shape(tuple(x.shape)))


def _kernels_gradient_by_reduction(
    geometry: Geometry, x: tf.Tensor, dy: tf.Tensor
) -> tf.Tensor:
    axes, channels = geometry.grouped_axes, geometry.grouped_channel_axis
    padded = pad(split_groups(x, geometry), axes, [(p, p) for p in geometry.padding])
    upstream = wide(split_groups(dy, geometry))
    sizes = [size_of(dy, axis) for axis in geometry.spatial_axes]
    terms = []
    for tap in geometry.taps():
        window = cut(padded, axes, geometry.offset(tap), sizes, geometry.strides)
        term = tf.reduce_sum(wide(window) * upstream, channels)
        terms.append(tf.cast(term, x.dtype))
    return tf.stack(terms, 2 if geometry.channels_first else -1)


def _kernels_gradient_by_loops(
    geometry: Geometry, x: tf.Tensor, dy: tf.Tensor
) -> tf.Tensor:
    """Loops over images and taps around a sum over channels, along the positions."""
    batch = size_of(x, 0)
    x, dy = _one_image_at_least(x), _one_image_at_least(dy)
    taps = list(geometry.taps())
    phases = tf.constant([geometry.phase(tap) for tap in taps])
    steps = tf.constant([geometry.steps(tap) for tap in taps])

    def one_image(image):
        grid, dy = image

        def one_tap(where):
            return tf.cast(_sum_over_channels(geometry, grid, dy, *where), x.dtype)

        dk = tf.map_fn(one_tap, (phases, steps), fn_output_signature=x.dtype)
        rest = list(range(1, dy.shape.rank))
        first = geometry.channels_first
        return tf.transpose(dk, [1, 0, *rest[1:]] if first else [*rest, 0])

    images = _channels_outwards(geometry, x, dy)
    return tf.map_fn(one_image, images, fn_output_signature=x.dtype)[:batch]


def _one_image_at_least(images: tf.Tensor) -> tf.Tensor:
    """XLA has no loop over nothing."""
    missing = 1 - tf.minimum(size_of(images, 0), 1)
    return pad(images, [0], [(0, missing)]) if images.shape[0] in (0, None) else images


def _channels_outwards(
    geometry: Geometry, x: tf.Tensor, dy: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The padded input by phases, and the upstream, ready for sums along positions.

    Channels last: (B, phases, H, c, W * G) and (B, Ho, c, Wo * G), where c runs over
    the channels of a group. Channels first: (B, phases, G, c, H, W) and
    (B, G, c, Ho, Wo), which is how they come.
    """
    grid = wide(_split_phases(split_groups(x, geometry), geometry))
    dy = wide(split_groups(dy, geometry))
    if geometry.channels_first:
        return grid, dy
    return _channels_before_row(grid), _channels_before_row(dy)


def _channels_before_row(array: tf.Tensor) -> tf.Tensor:
    """(..., W, G, c) to (..., c, W * G)."""
    rank = array.shape.rank
    moved = tf.transpose(array, [*range(rank - 3), rank - 1, rank - 3, rank - 2])
    *shape, row, groups = sizes_of(moved)
    return tf.reshape(moved, [*shape, row * groups])


def _split_phases(grouped: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """Pads, and puts one axis a spatial dimension, its phase, behind the batch."""
    axes = geometry.grouped_axes
    shape: list = []
    widths, phase_axes, other_axes = [], [], []
    for axis, size in enumerate(sizes_of(grouped)):
        other_axes.append(len(shape))
        shape.append(size)
        if axis in axes:
            padding = geometry.padding[axes.index(axis)]
            stride = geometry.strides[axes.index(axis)]
            shape[-1] = -(-(size + 2 * padding) // stride)
            widths.append((padding, shape[-1] * stride - padding - size))
            phase_axes.append(len(shape))
            shape.append(stride)
    split = tf.reshape(pad(grouped, axes, widths), shape)
    return tf.transpose(split, [0, *phase_axes, *other_axes[1:]])


def _sum_over_channels(
    geometry: Geometry,
    grid: tf.Tensor,
    dy: tf.Tensor,
    phase: tf.Tensor,
    steps: tf.Tensor,
) -> tf.Tensor:
    """One tap's gradient for one image, (Ho, Wo * G) or (G, Ho, Wo)."""
    block = math.gcd(geometry.group_channels, _UNROLLED_CHANNELS)
    axis = 1 if geometry.channels_first else geometry.rank - 1
    shape = sizes_of(dy)
    shape[axis] = 1
    start: list = [0] * len(shape)
    first = geometry.channels_first
    spatial = range(2, len(shape)) if first else [*range(axis), len(shape) - 1]
    for position, step in zip(spatial, tf.unstack(steps)):
        start[position] = step
    if not first:
        start[-1] = start[-1] * geometry.groups

    def add_block(number, total):
        for channel in range(block):
            start[axis] = number * block + channel
            place = [*tf.unstack(phase), *start]
            window = tf.slice(grid, place, [1] * geometry.rank + shape)
            corner = [0] * axis + [start[axis]] + [0] * (len(shape) - axis - 1)
            total = total + tf.reshape(window, shape) * tf.slice(dy, corner, shape)
        return number + 1, total

    total = tf.zeros(shape, dy.dtype)
    blocks = geometry.group_channels // block
    if blocks == 1:
        _, total = add_block(0, total)
    else:
        _, total = tf.while_loop(
            lambda number, total: number < blocks, add_block, (tf.constant(0), total)
        )
    return tf.squeeze(total, axis)
