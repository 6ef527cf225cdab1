"""The operator for XLA through JAX, with gradients written by hand.

Forward: the input is padded once; the sum over the taps of a shifted slice times
that tap's weights is one expression, which XLA fuses into one loop with the sum in
a register. The gradient for the inputs is the same sum gathered at the mirrored
offsets; with strides, each phase of the input's grid is such a sum by itself.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp

from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops.jax._arrays import (
    add,
    cut,
    merge_groups,
    pad,
    product,
    split_groups,
)
from keras_involution.ops.jax._derivatives import with_gradients
from keras_involution.ops.jax._kernels_gradient import kernels_gradient


@functools.partial(jax.jit, static_argnums=0)
def _forward(geometry: Geometry, x: jax.Array, k: jax.Array) -> jax.Array:
    axes = geometry.grouped_axes
    padded = pad(split_groups(x, geometry), axes, [(p, p) for p in geometry.padding])
    sizes = [k.shape[axis] for axis in geometry.kernel_spatial_axes]
    total: Any = None
    for tap in geometry.taps():
        window = cut(padded, axes, geometry.offset(tap), sizes, geometry.strides)
        weight = k[geometry.tap_index(tap)]
        total = add(total, product(window, weight, geometry))
    return merge_groups(total, geometry).astype(x.dtype)


def gradients(geometry: Geometry, x: jax.Array, k: jax.Array, dy: jax.Array):
    """The gradients for the inputs and for the kernels."""
    sizes = tuple(x.shape[axis] for axis in geometry.spatial_axes)
    return (
        _input_gradient(geometry, sizes, k, dy),
        kernels_gradient(geometry, x, dy),
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
    dy = pad(split_groups(dy, geometry), geometry.grouped_axes, widths)
    k = pad(k, geometry.kernel_spatial_axes, widths)
    start = [f + front for f, (front, _) in zip(first, widths)]
    count = [e - f for f, e in zip(first, stop)]
    phases = _gather_phases(geometry, k, dy, start, count)
    corner = [p - f * s for p, f, s in zip(geometry.padding, first, geometry.strides)]
    dx = cut(_interleave(phases, geometry), geometry.grouped_axes, corner, sizes)
    return merge_groups(dx, geometry).astype(dy.dtype)


def _gather_phases(
    geometry: Geometry, k: jax.Array, dy: jax.Array, start: list, count: list
) -> list[jax.Array]:
    """For each phase, the sum over its taps of kernels * upstream, `steps` back."""
    totals: dict = dict.fromkeys(itertools.product(*map(range, geometry.strides)))
    for tap in geometry.taps():
        back = [s - m for s, m in zip(start, geometry.steps(tap))]
        window = cut(dy, geometry.grouped_axes, back, count)
        weight = cut(k[geometry.tap_index(tap)], geometry.spatial_axes, back, count)
        phase = geometry.phase(tap)
        totals[phase] = add(totals[phase], product(window, weight, geometry))
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


NATIVE = Implementation(
    "native",
    with_gradients(_forward, gradients),
    lambda inputs, kernels, geometry: None,
)
