"""Makes a complete torch operator from two functions.

A registered operator is opaque to `torch.compile`, `torch.export` and autocast, so none
of them traces the kernels behind it. Involution is linear in each of its two inputs, so
every higher derivative is composed of the same two functions. With `I(x, k)` the
outputs and `G(x, k, dy) = (X(k, dy), K(x, dy))` the gradients,
`<u, X(k, dy)> = <I(u, k), dy>` and `<v, K(x, dy)> = <I(x, v), dy>`. The gradients of
`<u, X> + <v, K>` are therefore `G(u, v, dy)` and `I(u, k) + I(x, v)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

from keras_involution.ops import _portable
from keras_involution.ops._geometry import Geometry, geometry_of, geometry_of_integers
from keras_involution.ops.torch._private import is_transformed
from keras_involution.ops.torch._transforms import transformable

Tensor = torch.Tensor
Forward = Callable[[Tensor, Tensor, Geometry], Tensor]
Gradients = Callable[
    [Tensor, Tensor, Tensor, Geometry, bool, bool], tuple[Tensor, Tensor]
]

_ARGUMENTS = (
    "Tensor inputs, Tensor kernels, int[] strides, int[] dilation_rate, str data_format"
)


def define(
    name: str, forward: Forward, gradients: Gradients, device_type: str = "default"
) -> Forward:
    """Registers `keras_involution::<name>` and its gradients; returns the operator.

    Args:
        name: Name of the operator in programs.
        forward: `(inputs, kernels, geometry) -> outputs`.
        gradients: `(inputs, kernels, upstream, geometry, of_inputs, of_kernels)` to
            both gradients. A gradient that is not requested is an empty tensor.
        device_type: `"cpu"`, `"cuda"`, or `"default"` for any device.
    """
    name = f"keras_involution::{name}"
    torch.library.define(name, f"({_ARGUMENTS}) -> Tensor")
    torch.library.define(
        f"{name}_gradients",
        f"({_ARGUMENTS}, Tensor upstream, bool of_inputs=True, bool of_kernels=True)"
        " -> (Tensor, Tensor)",
    )

    @torch.library.impl(name, device_type)
    def run(inputs: Tensor, kernels: Tensor, *layout: Any) -> Tensor:
        return forward(inputs, kernels, _geometry(inputs, kernels, *layout))

    @torch.library.impl(f"{name}_gradients", device_type)
    def run_gradients(
        inputs: Tensor,
        kernels: Tensor,
        strides: list[int],
        dilation_rate: list[int],
        data_format: str,
        upstream: Tensor,
        of_inputs: bool = True,
        of_kernels: bool = True,
    ) -> tuple[Tensor, Tensor]:
        geometry = _geometry(inputs, kernels, strides, dilation_rate, data_format)
        return gradients(inputs, kernels, upstream, geometry, of_inputs, of_kernels)

    package = torch.ops.keras_involution
    operator = getattr(package, name.split("::")[1]).default
    operator_gradients = getattr(package, name.split("::")[1] + "_gradients").default
    _register_shapes(name)
    _register_derivatives(name, operator, operator_gradients)
    _register_vmap(name, operator, operator_gradients)
    _register_operations(operator, operator_gradients)
    function = transformable(operator, operator_gradients)

    def of_both(inputs: Tensor, kernels: Tensor, dy: Tensor, geometry: Geometry) -> Any:
        layout = (geometry.strides, geometry.dilation_rate, geometry.data_format)
        return operator_gradients(inputs, kernels, *layout, dy)

    def involution(inputs: Tensor, kernels: Tensor, geometry: Geometry) -> Tensor:
        layout = (geometry.strides, geometry.dilation_rate, geometry.data_format)
        if is_transformed():
            if torch.compiler.is_compiling():  # it ignores the rules of `function`
                return _portable.involution(inputs, kernels, geometry)
            return function(inputs, kernels, *layout)
        return operator(inputs, kernels, *layout)

    # Both gradients without the outputs, for `_pieces.py`.
    involution.gradients = of_both  # type: ignore[attr-defined]
    return involution


def _geometry(
    inputs: Tensor,
    kernels: Tensor,
    strides: list[int],
    dilation_rate: list[int],
    data_format: str,
) -> Geometry:
    layout = tuple(strides), tuple(dilation_rate), data_format
    return geometry_of_integers(inputs.shape, kernels.shape, *layout)


def _register_shapes(name: str) -> None:
    @torch.library.register_fake(name)
    def _(inputs: Tensor, kernels: Tensor, *layout: Any) -> Tensor:
        geometry = geometry_of(inputs.shape, kernels.shape, *layout)
        shape: Any = geometry.output_shape(inputs.shape)
        return inputs.new_empty(shape)

    @torch.library.register_fake(f"{name}_gradients")
    def _(
        inputs: Tensor,
        kernels: Tensor,
        strides: list[int],
        dilation_rate: list[int],
        data_format: str,
        upstream: Tensor,
        of_inputs: bool = True,
        of_kernels: bool = True,
    ) -> tuple[Tensor, Tensor]:
        return (
            inputs.new_empty(inputs.shape if of_inputs else (0,)),
            kernels.new_empty(kernels.shape if of_kernels else (0,)),
        )


def _register_derivatives(name: str, operator: Any, operator_gradients: Any) -> None:
    def save(ctx: Any, inputs: tuple, output: Any) -> None:
        tensors = [value for value in inputs if isinstance(value, Tensor)]
        ctx.save_for_backward(*tensors)
        ctx.layout, ctx.wanted = inputs[2:5], inputs[6:]

    def backward(ctx: Any, dy: Tensor) -> tuple:
        x, k = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        both = operator_gradients(x, k, *ctx.layout, dy, *wanted)
        return (*(g if w else None for g, w in zip(both, wanted)), None, None, None)

    def double_backward(ctx: Any, u: Tensor, v: Tensor) -> tuple:
        x, k, dy = ctx.saved_tensors
        of_x, of_k = ctx.wanted
        # The upstream of a gradient that was not requested is empty; its value does
        # not matter.
        u, v = (u if of_x else x), (v if of_k else k)
        need_x, need_k = ctx.needs_input_grad[:2]
        wanted = (of_k and need_x, of_x and need_k)
        both = operator_gradients(u, v, *ctx.layout, dy, *wanted)
        dx, dk = (g if w else None for g, w in zip(both, wanted))
        terms = [operator(u, k, *ctx.layout)] if of_x else []
        terms += [operator(x, v, *ctx.layout)] if of_k else []
        return dx, dk, None, None, None, sum(terms), None, None

    torch.library.register_autograd(name, backward, setup_context=save)
    torch.library.register_autograd(
        f"{name}_gradients", double_backward, setup_context=save
    )


def _register_operations(operator: Any, operator_gradients: Any) -> None:
    """Counts a product and a sum per tap for `torch.utils.flop_counter`."""

    def of_one(inputs: Any, kernels: Any, strides: Any, rate: Any, format: str) -> int:
        geometry = geometry_of(inputs, kernels, strides, rate, format)
        taps = math.prod(geometry.kernel_size)
        shape: Any = geometry.output_shape(tuple(inputs))
        return 2 * taps * math.prod(shape)

    @register_flop_formula(operator.overloadpacket)
    def _(*arguments: Any, **kwargs: Any) -> int:
        return of_one(*arguments[:5])

    @register_flop_formula(operator_gradients.overloadpacket)
    def _(*arguments: Any, **kwargs: Any) -> int:
        wanted = (*arguments[6:], True, True)[:2]
        return of_one(*arguments[:5]) * sum(wanted)


def _register_vmap(name: str, operator: Any, operator_gradients: Any) -> None:
    """Images are independent, so the new dimension is merged into the batch."""

    def fold(info: Any, in_dims: tuple, values: tuple) -> list:
        return [
            _fold(value, axis, info.batch_size) if isinstance(value, Tensor) else value
            for value, axis in zip(values, in_dims)
        ]

    @torch.library.register_vmap(name)
    def _(info: Any, in_dims: tuple, *values: Any) -> tuple:
        y = operator(*fold(info, in_dims, values))
        return y.unflatten(0, (info.batch_size, len(y) // info.batch_size)), 0

    @torch.library.register_vmap(f"{name}_gradients")
    def _(info: Any, in_dims: tuple, *values: Any) -> tuple:
        both = operator_gradients(*fold(info, in_dims, values))
        size = info.batch_size  # not -1 for the other size, which may be zero
        return tuple(g.unflatten(0, (size, len(g) // size)) for g in both), (0, 0)


def _fold(tensor: Tensor, axis: int | None, size: int) -> Tensor:
    if axis is None:
        tensor = tensor.expand(size, *tensor.shape)
    else:
        tensor = tensor.movedim(axis, 0)
    return tensor.flatten(0, 1)
