"""The operator for XLA through JAX, with gradients written by hand.

Forward: the input is padded once; the sum over the taps of a shifted slice times
that tap's weights is one expression, which XLA fuses into one loop with the sum in
a register. The gradient for the inputs is the same sum gathered at the mirrored
offsets; with strides, each phase of the input's grid is such a sum by itself.

The gradient for the kernels sums over the channels of a group. XLA does not
vectorise a sum over the innermost axis on a CPU, so there the channels are moved
outwards and the loop runs over the positions, an image and a tap at a time: an
image stays in the cache and the program is one small loop body. Elsewhere every
tap's product is reduced in place, which XLA fuses.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops.jax._derivatives import with_gradients

# Longest sum over channels that is written out; longer ones loop over blocks.
_UNROLLED_CHANNELS = 16


@functools.partial(jax.jit, static_argnums=0)
def _forward(geometry: Geometry, x: jax.Array, k: jax.Array) -> jax.Array:
    axes = geometry.grouped_axes
    padded = _pad(split_groups(x, geometry), axes, [(p, p) for p in geometry.padding])
    sizes = [k.shape[axis] for axis in geometry.kernel_spatial_axes]
    total: Any = None
    for tap in geometry.taps():
        window = _cut(padded, axes, geometry.offset(tap), sizes, geometry.strides)
        weight = k[geometry.tap_index(tap)]
        total = _add(total, _product(window, weight, geometry))
    return _merge_groups(total, geometry).astype(x.dtype)


def gradients(geometry: Geometry, x: jax.Array, k: jax.Array, dy: jax.Array):
    """The gradients for the inputs and for the kernels."""
    sizes = tuple(x.shape[axis] for axis in geometry.spatial_axes)
    return (
        _input_gradient(geometry, sizes, k, dy),
        _kernels_gradient(geometry, x, dy),
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _input_gradient(
    geometry: Geometry, sizes: tuple[int, ...], k: jax.Array, dy: jax.Array
) -> jax.Array:
    """The phases of the padded input's grid, each gathered by itself, interleaved."""
    first = [p // s for p, s in zip(geometry.padding, geometry.strides)]
    stop = [
        -(-(p + n) // s) for p, n, s in zip(geometry.padding, sizes, geometry.strides)
    ]
    reach = geometry.steps(tuple(n - 1 for n in geometry.kernel_size))
    outputs = [k.shape[axis] for axis in geometry.kernel_spatial_axes]
    widths = [
        (max(r - f, 0), max(e - n, 0))
        for r, f, e, n in zip(reach, first, stop, outputs)
    ]
    dy = _pad(split_groups(dy, geometry), geometry.grouped_axes, widths)
    k = _pad(k, geometry.kernel_spatial_axes, widths)
    start = [f + front for f, (front, _) in zip(first, widths)]
    count = [e - f for f, e in zip(first, stop)]
    phases = _gather_phases(geometry, k, dy, start, count)
    corner = [p - f * s for p, f, s in zip(geometry.padding, first, geometry.strides)]
    dx = _cut(_interleave(phases, geometry), geometry.grouped_axes, corner, sizes)
    return _merge_groups(dx, geometry).astype(dy.dtype)


def _gather_phases(
    geometry: Geometry, k: jax.Array, dy: jax.Array, start: list, count: list
) -> list[jax.Array]:
    """For each phase, the sum over its taps of kernels * upstream, `steps` back."""
    totals: dict = dict.fromkeys(itertools.product(*map(range, geometry.strides)))
    for tap in geometry.taps():
        back = [s - m for s, m in zip(start, geometry.steps(tap))]
        window = _cut(dy, geometry.grouped_axes, back, count)
        weight = _cut(k[geometry.tap_index(tap)], geometry.spatial_axes, back, count)
        phase = geometry.phase(tap)
        totals[phase] = _add(totals[phase], _product(window, weight, geometry))
    # The first tap has phase zero, so there is a shape for the phases without taps.
    zero = jnp.zeros_like(next(iter(totals.values())))
    return [zero if total is None else total for total in totals.values()]


def _interleave(phases: list[jax.Array], geometry: Geometry) -> jax.Array:
    """One sub-grid a phase to the whole grid."""
    shape = phases[0].shape
    stacked = jnp.stack(phases).reshape(*geometry.strides, *shape)
    order: list[int] = []
    for axis in range(len(shape)):
        order.append(geometry.rank + axis)
        if axis in geometry.grouped_axes:
            order.append(geometry.grouped_axes.index(axis))
    whole = list(shape)
    for axis, stride in zip(geometry.grouped_axes, geometry.strides):
        whole[axis] *= stride
    return stacked.transpose(order).reshape(whole)


@functools.partial(jax.jit, static_argnums=0)
def _kernels_gradient(geometry: Geometry, x: jax.Array, dy: jax.Array) -> jax.Array:
    if x.shape[0] == 0:  # no loop goes over nothing
        return jnp.zeros(geometry.kernels_shape(x.shape), x.dtype)
    return lax.platform_dependent(
        x,
        dy,
        cpu=functools.partial(_kernels_gradient_by_loops, geometry),
        default=functools.partial(_kernels_gradient_by_reduction, geometry),
    )


def _kernels_gradient_by_reduction(
    geometry: Geometry, x: jax.Array, dy: jax.Array
) -> jax.Array:
    axes, channels = geometry.grouped_axes, geometry.grouped_channel_axis
    padded = _pad(split_groups(x, geometry), axes, [(p, p) for p in geometry.padding])
    upstream = _wide(split_groups(dy, geometry))
    sizes = [dy.shape[axis] for axis in geometry.spatial_axes]
    terms = []
    for tap in geometry.taps():
        window = _cut(padded, axes, geometry.offset(tap), sizes, geometry.strides)
        terms.append((_wide(window) * upstream).sum(channels).astype(x.dtype))
    dk = jnp.stack(terms, 2 if geometry.channels_first else -1)
    return dk.reshape(geometry.kernels_shape(x.shape))


def _kernels_gradient_by_loops(
    geometry: Geometry, x: jax.Array, dy: jax.Array
) -> jax.Array:
    """Loops over images and taps around a sum over channels, along the positions."""
    grids, upstream = _channels_outwards(geometry, x, dy)
    taps = list(geometry.taps())
    phases = jnp.asarray([geometry.phase(tap) for tap in taps], jnp.int32)
    steps = jnp.asarray([geometry.steps(tap) for tap in taps], jnp.int32)

    def one_image(image):
        grid, dy = image

        def one_tap(where):
            return _sum_over_channels(geometry, grid, dy, *where).astype(x.dtype)

        dk = lax.map(one_tap, (phases, steps))
        return jnp.moveaxis(dk, 0, 1 if geometry.channels_first else -1)

    dk = lax.map(one_image, (grids, upstream))
    return dk.reshape(geometry.kernels_shape(x.shape))


def _channels_outwards(
    geometry: Geometry, x: jax.Array, dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The padded input by phases, and the upstream, ready for sums along positions.

    Channels last: (B, phases, H, c, W * G) and (B, Ho, c, Wo * G), where c runs over
    the channels of a group. Channels first: (B, phases, G, c, H, W) and
    (B, G, c, Ho, Wo), which is how they come.
    """
    grid = _wide(split_phases(split_groups(x, geometry), geometry))
    dy = _wide(split_groups(dy, geometry))
    if geometry.channels_first:
        return grid, dy
    grid, dy = (_merge_last(jnp.moveaxis(a, -1, -3)) for a in (grid, dy))
    return grid, dy


def _merge_last(array: jax.Array) -> jax.Array:
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
    split = _pad(grouped, axes, widths).reshape(shape)
    return jnp.moveaxis(split, phase_axes, range(1, 1 + geometry.rank))


def _sum_over_channels(
    geometry: Geometry,
    grid: jax.Array,
    dy: jax.Array,
    phase: jax.Array,
    steps: jax.Array,
) -> jax.Array:
    """One tap's gradient for one image, (Ho, Wo * G) or (G, Ho, Wo)."""
    block = math.gcd(geometry.group_channels, _UNROLLED_CHANNELS)
    axis = 1 if geometry.channels_first else geometry.rank - 1
    shape = list(dy.shape)
    shape[axis] = 1
    start: list = [0] * len(shape)
    first = geometry.channels_first
    spatial = range(2, len(shape)) if first else [*range(axis), len(shape) - 1]
    for position, step in zip(spatial, steps):
        start[position] = step
    if not first:
        start[-1] = start[-1] * geometry.groups

    def add_block(number, total):
        for channel in range(block):
            start[axis] = number * block + channel
            corner = [0] * axis + [start[axis]] + [0] * (len(shape) - axis - 1)
            window = _cut_at(grid, [*phase, *start], [1] * geometry.rank + shape)
            total = total + window.reshape(shape) * _cut_at(dy, corner, shape)
        return total

    total = jnp.zeros(shape, dy.dtype)
    blocks = geometry.group_channels // block
    if blocks == 1:
        total = add_block(0, total)
    else:
        total = lax.fori_loop(0, blocks, add_block, total)
    return total.squeeze(axis)


def split_groups(x: jax.Array, geometry: Geometry) -> jax.Array:
    """(B, H, W, C) to (B, H, W, G, C/G); (B, C, H, W) to (B, G, C/G, H, W)."""
    axis = 1 if geometry.channels_first else x.ndim - 1
    groups = (geometry.groups, geometry.group_channels)
    return x.reshape(*x.shape[:axis], *groups, *x.shape[axis + 1 :])


def _merge_groups(grouped: jax.Array, geometry: Geometry) -> jax.Array:
    axis = 1 if geometry.channels_first else grouped.ndim - 2
    shape = grouped.shape
    return grouped.reshape(*shape[:axis], geometry.channels, *shape[axis + 2 :])


def _pad(array: jax.Array, axes: Sequence[int], widths: Sequence[tuple]) -> jax.Array:
    config = [(0, 0)] * array.ndim
    for axis, width in zip(axes, widths):
        config[axis] = width
    return jnp.pad(array, config)


def _cut(
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


def _cut_at(array: jax.Array, starts: Sequence, sizes: Sequence[int]) -> jax.Array:
    if all(isinstance(start, int) for start in starts):
        return _cut(array, range(array.ndim), starts, sizes)
    starts = [jnp.asarray(start, jnp.int32) for start in starts]
    return lax.dynamic_slice(array, starts, sizes, allow_negative_indices=False)


def _product(window: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    weight = jnp.expand_dims(_wide(weight), geometry.grouped_channel_axis)
    return _wide(window) * weight


def _wide(array: jax.Array) -> jax.Array:
    return array if array.dtype == jnp.float64 else array.astype(jnp.float32)


def _add(total: jax.Array | None, term: jax.Array) -> jax.Array:
    return term if total is None else total + term


NATIVE = Implementation(
    "native",
    with_gradients(_forward, gradients),
    lambda inputs, kernels, geometry: None,
)
