"""Involution of a few images at a time; the kernels are computed twice."""

from __future__ import annotations

import jax

from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation


def in_pieces(
    implementation: Implementation,
    x: jax.Array,
    f: jax.Array,
    matrix: jax.Array,
    bias: jax.Array,
    geometry: Geometry,
    images: int,
) -> jax.Array:
    """The outputs (B, Ho, Wo, C), channels last, `images` at a time on one device.

    Several devices compute all of their images at once: a loop over a sharded batch
    would copy every image to all of them.
    """

    def piece(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        x, f = pair
        kernels = (f @ matrix + bias).reshape(geometry.kernels_shape(x.shape))
        return implementation.run(x, kernels, geometry)

    if images == x.shape[0] or jax.device_count() > 1:
        return jax.checkpoint(piece)((x, f))
    split = [t.reshape(-1, images, *t.shape[1:]) for t in (x, f)]
    # Inside a loop XLA cannot merge the two computations of the kernels anyway.
    y = jax.lax.map(jax.checkpoint(piece, prevent_cse=False), tuple(split))
    return y.reshape(-1, *y.shape[2:])
