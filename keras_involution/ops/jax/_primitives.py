"""Involution as JAX primitives, with derivatives of any order and mode.

It is linear in each of its two inputs. With `I(x, k)` the outputs and
`G(x, k, dy) = (X(k, dy), K(x, dy))` the gradients, its tangent is
`T(x, k, dx, dk) = I(dx, k) + I(x, dk)`, the transpose of `T` is `G`, and that of `G` is
`T`. The three are therefore closed under `jvp` and transposition, and `jax.jvp`,
`jax.grad`, `jax.linearize` and `jax.hessian` are composed of them. Functions with
`jax.custom_vjp` do not support forward mode.

The implementation of a primitive is chosen when it is lowered: `jax.export` writes
programs for other machines, where no function of this package is available.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from keras_involution.ops._geometry import Geometry

Array = jax.Array
Forward = Callable[[Geometry, Array, Array], Array]
Gradients = Callable[[Geometry, Array, Array, Array], tuple]
Pair = tuple[Forward, Gradients]


def operation(name: str, own: Pair, exported: Pair | None = None) -> Callable[..., Any]:
    """Defines the primitives of an involution that is computed by two functions.

    Args:
        name: Name in programs.
        own: `(geometry, x, k) -> y`, and `(geometry, x, k, dy) -> (dx, dk)`.
        exported: The two functions that `jax.export` writes; `None` uses `own`.

    Returns:
        Function from inputs, kernels and geometry to outputs.
    """
    exported = exported or own
    involution = primitive(f"involution_{name}", own[0], exported[0])
    tangent = primitive(
        f"involution_{name}_tangent", _tangent(own[0]), _tangent(exported[0])
    )
    gradients = primitive(
        f"involution_{name}_gradients", own[1], exported[1], results=(0, 1)
    )
    involution.def_abstract_eval(_outputs)
    tangent.def_abstract_eval(_outputs)
    gradients.def_abstract_eval(lambda x, k, dy, geometry: [x, k])
    _define_tangents(involution, tangent, gradients)
    _define_transposes(involution, tangent, gradients)
    return lambda x, k, geometry: involution.bind(x, k, geometry=geometry)


def _tangent(forward: Forward) -> Callable[..., Array]:
    def compute(geometry: Geometry, x: Array, k: Array, dx: Array, dk: Array) -> Array:
        return forward(geometry, dx, k) + forward(geometry, x, dk)

    return compute


def _outputs(x: Any, k: Any, *tangents: Any, geometry: Geometry) -> Any:
    return x.update(shape=geometry.output_shape(x.shape))


def primitive(
    name: str, own: Callable, exported: Callable, results: tuple[int, ...] | None = None
) -> Primitive:
    """A primitive that is computed by `own(geometry, *operands)`."""
    made = Primitive(name)
    made.multiple_results = results is not None

    @functools.lru_cache(maxsize=1024)
    def compiled(geometry: Geometry) -> Callable:
        return jax.jit(functools.partial(made.bind, geometry=geometry))

    def lower(ctx: Any, *operands: Any, geometry: Geometry) -> Any:
        is_exported = ctx.module_context.lowering_parameters.for_export
        function = functools.partial(exported if is_exported else own, geometry)
        many = made.multiple_results
        return mlir.lower_fun(function, multiple_results=many)(ctx, *operands)

    def batch(operands: Sequence, axes: Sequence, geometry: Geometry) -> tuple:
        """Images are independent, so the new axis is merged into the batch."""
        sizes = {o.shape[a] for o, a in zip(operands, axes) if a is not None}
        [size] = sizes
        folded = [_fold(operand, axis, size) for operand, axis in zip(operands, axes)]
        values = made.bind(*folded, geometry=geometry)
        if not made.multiple_results:
            return _unfold(values, size), 0
        return [_unfold(value, size) for value in values], [0] * len(values)

    made.def_impl(lambda *operands, geometry: compiled(geometry)(*operands))
    mlir.register_lowering(made, lower)
    batching.primitive_batchers[made] = batch
    return made


def _fold(operand: Array, axis: int | None, size: int) -> Array:
    if axis is None:
        operand = jnp.broadcast_to(operand, (size, *operand.shape))
    else:
        operand = jnp.moveaxis(operand, axis, 0)
    return operand.reshape(size * operand.shape[1], *operand.shape[2:])


def _unfold(value: Array, size: int) -> Array:
    return value.reshape(size, value.shape[0] // size, *value.shape[1:])


def _define_tangents(
    involution: Primitive, tangent: Primitive, gradients: Primitive
) -> None:
    """Each of the three is linear in either half of its operands."""

    def of_involution(primals: Any, tangents: Any, geometry: Geometry) -> tuple:
        y = involution.bind(*primals, geometry=geometry)
        (x, k), (dx, dk) = primals, tangents
        if isinstance(dk, ad.Zero):
            return y, involution.bind(dx, k, geometry=geometry)
        if isinstance(dx, ad.Zero):
            return y, involution.bind(x, dk, geometry=geometry)
        return y, tangent.bind(x, k, dx, dk, geometry=geometry)

    def of_tangent(primals: Any, tangents: Any, geometry: Geometry) -> tuple:
        bind = functools.partial(tangent.bind, geometry=geometry)
        halves = _halves(primals, tangents, 2)
        return bind(*primals), functools.reduce(
            jnp.add, (bind(*half) for half in halves)
        )

    def of_gradients(primals: Any, tangents: Any, geometry: Geometry) -> tuple:
        bind = functools.partial(gradients.bind, geometry=geometry)
        values = [bind(*half) for half in _halves(primals, tangents, 2)]
        return bind(*primals), [
            functools.reduce(jnp.add, terms) for terms in zip(*values)
        ]

    ad.primitive_jvps[involution] = of_involution
    ad.primitive_jvps[tangent] = of_tangent
    ad.primitive_jvps[gradients] = of_gradients


def _halves(primals: Sequence, tangents: Sequence, split: int) -> list[list]:
    """The operands, first with one half replaced by its tangents, then the other."""
    halves = []
    for part in (range(split), range(split, len(primals))):
        if any(not isinstance(tangents[index], ad.Zero) for index in part):
            halves.append(
                [
                    ad.instantiate_zeros(tangents[index]) if index in part else primal
                    for index, primal in enumerate(primals)
                ]
            )
    return halves


def _define_transposes(
    involution: Primitive, tangent: Primitive, gradients: Primitive
) -> None:
    def of_involution(ct: Any, x: Any, k: Any, geometry: Geometry) -> list:
        both = gradients.bind(*known(x, k), _array(ct), geometry=geometry)
        return for_unknown((x, k), both)

    def of_tangent(ct: Any, *operands: Any, geometry: Geometry) -> list:
        bind = functools.partial(gradients.bind, geometry=geometry)
        (x, k, dx, dk), ct = operands, _array(ct)
        cotangents: list = [None] * 4
        if any(map(ad.is_undefined_primal, (x, k))):
            cotangents[:2] = bind(*known(dx, dk), ct)
        if any(map(ad.is_undefined_primal, (dx, dk))):
            cotangents[2:] = bind(*known(x, k), ct)
        return for_unknown(operands, cotangents)

    def of_gradients(cts: Any, x: Any, k: Any, dy: Any, geometry: Geometry) -> list:
        u, v = map(_array, cts)
        if ad.is_undefined_primal(dy):
            x, k = known(x, k)
            return [None, None, tangent.bind(x, k, u, v, geometry=geometry)]
        return [
            *for_unknown((x, k), gradients.bind(u, v, dy, geometry=geometry)),
            None,
        ]

    ad.primitive_transposes[involution] = of_involution
    ad.primitive_transposes[tangent] = of_tangent
    ad.primitive_transposes[gradients] = of_gradients


def _array(cotangent: Any) -> Array:
    return ad.instantiate_zeros(cotangent)


def known(*operands: Any) -> list[Array]:
    """Replaces unknown operands by zeros: only their shape is read."""
    return [
        jnp.zeros(operand.aval.shape, operand.aval.dtype)
        if ad.is_undefined_primal(operand)
        else operand
        for operand in operands
    ]


def for_unknown(operands: Sequence, cotangents: Sequence) -> list:
    return [
        cotangent if ad.is_undefined_primal(operand) else None
        for operand, cotangent in zip(operands, cotangents)
    ]
