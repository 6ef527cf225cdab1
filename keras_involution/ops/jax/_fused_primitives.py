"""Fused involution as JAX primitives, with derivatives of any order and mode.

The kernels are `features @ matrix + bias`. The outputs and their gradients are
primitives that do not store them. All other derivatives, and `vmap`, are those of the
same function with stored kernels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.interpreters import ad, batching

from keras_involution.ops._geometry import Geometry
from keras_involution.ops.jax._primitives import for_unknown, known, primitive

Array = jax.Array
Run = Callable[[Array, Array, Geometry], Array]


def at_once(
    run: Run, geometry: Geometry, x: Array, f: Array, matrix: Array, bias: Array
) -> Array:
    """Computes all kernels and applies them."""
    kernels = (f @ matrix + bias).reshape(geometry.kernels_shape(x.shape))
    return run(x, kernels, geometry)


def fused_operation(
    name: str, run: Run, forward: Callable, gradients: Callable
) -> Callable[..., Any]:
    """Defines the primitives of a fused involution.

    Args:
        name: Name in programs.
        run: `(x, k, geometry) -> y`, the operator with stored kernels.
        forward: `(geometry, x, f, matrix, bias) -> y`.
        gradients: `(geometry, x, f, matrix, bias, dy)` to the four gradients.

    Returns:
        Function from the four tensors and the geometry to outputs.
    """
    plain = functools.partial(at_once, run)

    def plain_tangent(geometry: Geometry, *operands: Array) -> Array:
        function = functools.partial(plain, geometry)
        tangent: Array = jax.jvp(function, operands[:4], operands[4:])[1]
        return tangent

    def plain_gradients(geometry: Geometry, *operands: Array) -> tuple:
        *tensors, dy = operands
        return jax.vjp(functools.partial(plain, geometry), *tensors)[1](dy)

    fused = primitive(name, forward, plain)
    tangent = primitive(f"{name}_tangent", plain_tangent, plain_tangent)
    of_all = primitive(f"{name}_gradients", gradients, plain_gradients, (0, 1, 2, 3))
    fused.def_abstract_eval(_outputs)
    tangent.def_abstract_eval(_outputs)
    of_all.def_abstract_eval(lambda *operands, geometry: list(operands[:4]))
    _use_plain_derivatives(tangent, plain_tangent)
    _use_plain_derivatives(of_all, plain_gradients)
    batching.primitive_batchers[fused] = _batch(plain)

    def of_fused(primals: Any, tangents: Any, geometry: Geometry) -> tuple:
        y = fused.bind(*primals, geometry=geometry)
        tangents = map(ad.instantiate_zeros, tangents)
        return y, tangent.bind(*primals, *tangents, geometry=geometry)

    def transpose(ct: Any, *operands: Any, geometry: Geometry) -> list:
        tensors, others = operands[:4], operands[4:]
        dy = ad.instantiate_zeros(ct)
        found = of_all.bind(*known(*tensors), dy, geometry=geometry)
        return [None] * len(others) + for_unknown(operands[-4:], found)

    ad.primitive_jvps[fused] = of_fused
    ad.primitive_transposes[fused] = transpose
    ad.primitive_transposes[tangent] = transpose
    return lambda *tensors: fused.bind(*tensors[:4], geometry=tensors[4])


def _outputs(x: Any, *operands: Any, geometry: Geometry) -> Any:
    return x.update(shape=geometry.output_shape(x.shape))


def _use_plain_derivatives(derivative: Any, function: Callable) -> None:
    def jvp(primals: Any, tangents: Any, geometry: Geometry) -> tuple:
        tangents = tuple(map(ad.instantiate_zeros, tangents))
        return jax.jvp(functools.partial(function, geometry), tuple(primals), tangents)

    ad.primitive_jvps[derivative] = jvp
    batching.primitive_batchers[derivative] = _batch(function)


def _batch(function: Callable) -> Callable:
    def batch(operands: Any, axes: Any, geometry: Geometry) -> tuple:
        mapped = jax.vmap(functools.partial(function, geometry), tuple(axes))
        values = mapped(*operands)
        return values, [0] * 4 if isinstance(values, tuple) else 0

    return batch
