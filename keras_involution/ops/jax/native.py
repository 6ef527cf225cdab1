"""The operator for XLA through JAX, with gradients written by hand."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax

from keras_involution.ops import _kernels_gradient, _sums
from keras_involution.ops._arrays import merge_groups
from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops.jax._primitives import operation


@functools.partial(jax.jit, static_argnums=0)
def forward(geometry: Geometry, x: jax.Array, k: jax.Array) -> jax.Array:
    return merge_groups(_sums.outputs(geometry, x, k), geometry).astype(x.dtype)


def gradients(geometry: Geometry, x: jax.Array, k: jax.Array, dy: jax.Array):
    """The gradients for the inputs and for the kernels."""
    sizes = tuple(x.shape[axis] for axis in geometry.spatial_axes)
    return (
        _gradient_of_inputs(geometry, sizes, k, dy),
        _gradient_of_kernels(geometry, x, dy),
    )


_gradient_of_inputs = jax.jit(_sums.input_gradient, static_argnums=(0, 1))


@functools.partial(jax.jit, static_argnums=0)
def _gradient_of_kernels(geometry: Geometry, x: jax.Array, dy: jax.Array) -> jax.Array:
    shape = geometry.kernels_shape(x.shape)
    if x.shape[0] == 0:  # XLA does not allow an empty loop
        return jnp.zeros(shape, x.dtype)

    def by_loops(x, dy):
        return _kernels_gradient.by_loops(geometry, x, dy, lax.map).reshape(shape)

    def by_reduction(x, dy):
        return _kernels_gradient.by_reduction(geometry, x, dy).reshape(shape)

    return lax.platform_dependent(x, dy, cpu=by_loops, default=by_reduction)


NATIVE = Implementation(
    "native",
    operation("native", (forward, gradients)),
    lambda inputs, kernels, geometry: None,
)
