"""The forward pass as a Pallas kernel for TPUs; gradients as in `native`.

One program computes a few output rows of one image, with the channels along the lanes.
A tap has one weight per group. A product with the indicator matrix of the groups
expands these weights to all channels: the matrix unit computes it while the vector unit
multiplies and adds. Neither patches nor expanded weights are written to memory.
The input is first split into phases by the strides; each phase is read with stride 1.

On other devices it runs only in Pallas's interpreter, for tests, if the environment
variable KERAS_INVOLUTION_INTERPRET is 1.
"""

from __future__ import annotations

import functools
import os

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from keras_involution.ops._arrays import split_groups, split_phases
from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops.jax import native
from keras_involution.ops.jax._primitives import operation

# Number of output rows that one program computes.
_TILE_ROWS = 8
# The padded image of one program must fit into a core's fast memory of 16 MiB.
_LARGEST_IMAGE = 8 * 2**20


@functools.partial(jax.jit, static_argnums=0)
def _forward(geometry: Geometry, x: jax.Array, k: jax.Array) -> jax.Array:
    batch, rows, columns = k.shape[:3]
    if batch == 0:
        return jnp.zeros((batch, rows, columns, x.shape[-1]), x.dtype)
    tiles = -(-rows // _TILE_ROWS)
    grid = split_phases(split_groups(x, geometry), geometry)
    grid = grid.reshape(*grid.shape[:-2], geometry.channels)
    # The last tile may extend below the image.
    missing = tiles * _TILE_ROWS - rows
    grid = jnp.pad(grid, [(0, 0)] * 3 + [(0, missing)] + [(0, 0)] * 2)
    # (B, T, Ho, Wo, G): a tap's weights are contiguous.
    weights = jnp.moveaxis(k.reshape(*k.shape[:4], -1), -1, 1)
    return pl.pallas_call(
        functools.partial(_tile, geometry),
        grid=(batch, tiles),
        in_specs=[
            pl.BlockSpec((1, *grid.shape[1:]), lambda b, t: (b, 0, 0, 0, 0, 0)),
            pl.BlockSpec(
                (1, weights.shape[1], _TILE_ROWS, columns, geometry.groups),
                lambda b, t: (b, 0, t, 0, 0),
            ),
        ],
        out_specs=pl.BlockSpec(
            (1, _TILE_ROWS, columns, geometry.channels), lambda b, t: (b, t, 0, 0)
        ),
        out_shape=jax.ShapeDtypeStruct((batch, rows, columns, x.shape[-1]), x.dtype),
        interpret=not _on_tpu(),
    )(grid, weights)


def _tile(geometry: Geometry, grid_ref, weights_ref, out_ref) -> None:
    """(1, phases, H, W, C) and (1, T, rows, Wo, G) to (1, rows, Wo, C)."""
    _, rows, columns, channels = out_ref.shape
    top = pl.program_id(1) * rows
    spread = _indicator(geometry)
    total = jnp.zeros((rows * columns, channels), jnp.float32)
    for number, tap in enumerate(geometry.taps()):
        down, right = geometry.steps(tap)
        place = (0, *geometry.phase(tap), pl.ds(top + down, rows))
        window = grid_ref[(*place, pl.ds(right, columns), slice(None))]
        weight = weights_ref[0, number].reshape(rows * columns, geometry.groups)
        weight = jnp.dot(
            weight.astype(jnp.float32), spread, precision=jax.lax.Precision.HIGHEST
        )
        total += window.astype(jnp.float32).reshape(total.shape) * weight
    out_ref[0] = total.reshape(rows, columns, channels).astype(out_ref.dtype)


def _indicator(geometry: Geometry) -> jax.Array:
    """(G, C): 1 where the channel belongs to the group, 0 elsewhere."""
    shape = (geometry.groups, geometry.channels)
    group = jax.lax.broadcasted_iota(jnp.int32, shape, 0)
    channel = jax.lax.broadcasted_iota(jnp.int32, shape, 1)
    owner = jax.lax.div(channel, jnp.int32(geometry.group_channels))
    return (owner == group).astype(jnp.float32)


def _on_tpu() -> bool:
    return jax.default_backend() == "tpu"


def _unsupported_reason(
    inputs: jax.Array, kernels: jax.Array, geometry: Geometry
) -> str | None:
    if not _on_tpu() and os.environ.get("KERAS_INVOLUTION_INTERPRET") != "1":
        return "It needs a TPU (or KERAS_INVOLUTION_INTERPRET=1 to interpret it)."
    if geometry.rank != 2 or geometry.channels_first:
        return "It supports two spatial dimensions with channels last only."
    if inputs.dtype == jnp.float64:
        return "It does not support float64."
    rows, columns, channels = inputs.shape[1:]
    high, wide = geometry.padding
    size = (rows + 2 * high) * (columns + 2 * wide) * channels * inputs.dtype.itemsize
    if size > _LARGEST_IMAGE:
        return "One padded image does not fit into the fast memory of a core."
    return None


PALLAS = Implementation(
    "pallas",
    operation(
        "pallas", (_forward, native.gradients), (native.forward, native.gradients)
    ),
    _unsupported_reason,
)
