"""What JAX is told about derivatives that are written by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

from keras_involution.ops import _portable
from keras_involution.ops._geometry import Geometry

Forward = Callable[[Geometry, jax.Array, jax.Array], jax.Array]
Gradients = Callable[[Geometry, jax.Array, jax.Array, jax.Array], tuple]


def with_gradients(forward: Forward, gradients: Gradients) -> Callable[..., Any]:
    """The involution that `forward` computes, and that `gradients` differentiates.

    Args:
        forward: From geometry, inputs and kernels to outputs.
        gradients: From geometry, inputs, kernels and upstream to the gradients for the
            inputs and for the kernels. Its own derivatives are those of the portable
            form.

    Returns:
        Function from inputs, kernels and geometry to outputs.
    """

    @functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
    def to_both(x: jax.Array, k: jax.Array, dy: jax.Array, geometry: Geometry):
        return gradients(geometry, x, k, dy)

    to_both.defvjp(
        lambda *arguments: (to_both(*arguments), arguments[:3]), _second_derivatives
    )

    @functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
    def involution(inputs: jax.Array, kernels: jax.Array, geometry: Geometry):
        return forward(geometry, inputs, kernels)

    involution.defvjp(
        lambda *arguments: (involution(*arguments), arguments[:2]),
        lambda geometry, kept, dy: to_both(*kept, dy, geometry),
    )
    return involution


def _second_derivatives(geometry: Geometry, kept: tuple, upstream: tuple):
    def gradients(x, k, dy):
        portable = functools.partial(_portable.involution, geometry=geometry)
        return jax.vjp(portable, x, k)[1](dy)

    return jax.vjp(gradients, *kept)[1](upstream)
