"""Outputs and the gradient for the inputs: sums over the taps.

Forward, the input is padded once; the sum over the taps of a shifted slice times that
tap's weights is one expression, which XLA fuses into one loop with the sum in a
register. The gradient for the inputs is the same sum gathered at the mirrored offsets;
with strides, each phase of the input's grid is such a sum by itself.
"""

from __future__ import annotations

import itertools

import tensorflow as tf

from keras_involution.ops._geometry import Geometry
from keras_involution.ops.tensorflow._arrays import (
    add,
    at_least_zero,
    cut,
    merge_groups,
    merge_window,
    pad,
    product,
    size_of,
    sizes_of,
    split_groups,
)


def forward(geometry: Geometry, x: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    axes = geometry.grouped_axes
    padded = pad(split_groups(x, geometry), axes, [(p, p) for p in geometry.padding])
    sizes = [size_of(k, axis) for axis in geometry.kernel_spatial_axes]
    weights = merge_window(k, geometry)
    total = None
    for number, tap in enumerate(geometry.taps()):
        window = cut(padded, axes, geometry.offset(tap), sizes, geometry.strides)
        weight = (
            weights[:, :, number] if geometry.channels_first else weights[..., number]
        )
        total = add(total, product(window, weight, geometry))
    return tf.cast(merge_groups(total, geometry), x.dtype)


def input_gradient(
    geometry: Geometry, x: tf.Tensor, k: tf.Tensor, dy: tf.Tensor
) -> tf.Tensor:
    """The phases of the padded input's grid, each gathered by itself, interleaved."""
    padding, strides = geometry.padding, geometry.strides
    sizes = [size_of(x, axis) for axis in geometry.spatial_axes]
    first = [p // s for p, s in zip(padding, strides)]
    stop = [-(-(p + n) // s) for p, n, s in zip(padding, sizes, strides)]
    reach = geometry.steps(tuple(n - 1 for n in geometry.kernel_size))
    outputs = [size_of(k, axis) for axis in geometry.kernel_spatial_axes]
    widths = [
        (max(r - f, 0), at_least_zero(e - n))
        for r, f, e, n in zip(reach, first, stop, outputs)
    ]
    dy = pad(split_groups(dy, geometry), geometry.grouped_axes, widths)
    k = pad(k, geometry.kernel_spatial_axes, widths)
    start = [f + front for f, (front, _) in zip(first, widths)]
    count = [e - f for f, e in zip(first, stop)]
    phases = _gather_phases(geometry, k, dy, start, count)
    corner = [p - f * s for p, f, s in zip(padding, first, strides)]
    dx = cut(_interleave(phases, geometry), geometry.grouped_axes, corner, sizes)
    return tf.ensure_shape(tf.cast(merge_groups(dx, geometry), x.dtype), x.shape)


def _gather_phases(
    geometry: Geometry, k: tf.Tensor, dy: tf.Tensor, start: list, count: list
) -> list[tf.Tensor]:
    """For each phase, the sum over its taps of kernels * upstream, `steps` back."""
    totals: dict = dict.fromkeys(itertools.product(*map(range, geometry.strides)))
    for tap in geometry.taps():
        back = [s - m for s, m in zip(start, geometry.steps(tap))]
        window = cut(dy, geometry.grouped_axes, back, count)
        weight = cut(k[geometry.tap_index(tap)], geometry.spatial_axes, back, count)
        phase = geometry.phase(tap)
        totals[phase] = add(totals[phase], product(window, weight, geometry))
    # The first tap has phase zero, so there is a shape for the phases without taps.
    zero = tf.zeros_like(next(iter(totals.values())))
    return [zero if total is None else total for total in totals.values()]


def _interleave(phases: list[tf.Tensor], geometry: Geometry) -> tf.Tensor:
    """One sub-grid a phase to the whole grid."""
    shape = sizes_of(phases[0])
    stacked = tf.reshape(tf.stack(phases), [*geometry.strides, *shape])
    order: list[int] = []
    for axis in range(len(shape)):
        order.append(geometry.rank + axis)
        if axis in geometry.grouped_axes:
            order.append(geometry.grouped_axes.index(axis))
    for axis, stride in zip(geometry.grouped_axes, geometry.strides):
        shape[axis] *= stride
    return tf.reshape(tf.transpose(stacked, order), shape)
