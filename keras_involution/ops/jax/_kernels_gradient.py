"""The gradient for the kernels: sums over the channels of a group.

XLA does not vectorise a sum over the innermost axis on a CPU, so there the channels are
moved outwards and the loop runs over the positions, an image and a tap at a time: an
image stays in the cache and the program is one small loop body. Elsewhere every tap's
product is reduced in place, which XLA fuses.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from keras_involution.ops._geometry import Geometry
from keras_involution.ops.jax._arrays import (
    cut,
    cut_at,
    merge_last,
    pad,
    split_groups,
    split_phases,
    wide,
)

# Longest sum over channels that is written out; longer ones loop over blocks.
_UNROLLED_CHANNELS = 16


@functools.partial(jax.jit, static_argnums=0)
def kernels_gradient(geometry: Geometry, x: jax.Array, dy: jax.Array) -> jax.Array:
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
    padded = pad(split_groups(x, geometry), axes, [(p, p) for p in geometry.padding])
    upstream = wide(split_groups(dy, geometry))
    sizes = [dy.shape[axis] for axis in geometry.spatial_axes]
    terms = []
    for tap in geometry.taps():
        window = cut(padded, axes, geometry.offset(tap), sizes, geometry.strides)
        terms.append((wide(window) * upstream).sum(channels).astype(x.dtype))
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
    grid = wide(split_phases(split_groups(x, geometry), geometry))
    dy = wide(split_groups(dy, geometry))
    if geometry.channels_first:
        return grid, dy
    grid, dy = (merge_last(jnp.moveaxis(a, -1, -3)) for a in (grid, dy))
    return grid, dy


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
            window = cut_at(grid, [*phase, *start], [1] * geometry.rank + shape)
            total = total + window.reshape(shape) * cut_at(dy, corner, shape)
        return total

    total = jnp.zeros(shape, dy.dtype)
    blocks = geometry.group_channels // block
    if blocks == 1:
        total = add_block(0, total)
    else:
        total = lax.fori_loop(0, blocks, add_block, total)
    return total.squeeze(axis)
