"""The operator for `torch.func` and forward mode, which registered operators lack.

`torch.func.grad` rejects operators with `torch.library.register_autograd`, and
`torch.func.jvp` silently returns zero for them. Autograd functions with a separate
`setup_context` support both. Here they are composed of the same two operators.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Tensor = torch.Tensor


@dataclass(frozen=True)
class _Layout:
    """Strides, dilation rate and data format, as one object that torch keeps whole."""

    arguments: tuple


def transformable(operator: Any, operator_gradients: Any) -> Callable[..., Tensor]:
    """`operator` with derivatives of both modes and any order, and `vmap`.

    Args:
        operator: `(inputs, kernels, *layout) -> outputs`.
        operator_gradients: `(inputs, kernels, *layout, upstream)` to both gradients.

    Returns:
        Function with the arguments of `operator`.
    """

    class Gradients(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Tensor, k: Tensor, dy: Tensor, layout: _Layout) -> tuple:
            return operator_gradients(x, k, *layout.arguments, dy)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
            _save(ctx, inputs)

        @staticmethod
        def backward(ctx: Any, u: Tensor, v: Tensor) -> tuple:
            x, k, dy = ctx.saved_tensors
            dx, dk = Gradients.apply(u, v, dy, ctx.layout)
            upstream = Involution.apply(u, k, ctx.layout)
            return dx, dk, upstream + Involution.apply(x, v, ctx.layout), None

        @staticmethod
        def jvp(ctx: Any, x_dot: Tensor, k_dot: Tensor, dy_dot: Tensor, _: Any):
            x, k, dy = ctx.saved_tensors
            x_dot, k_dot, dy_dot = _known((x_dot, k_dot, dy_dot), (x, k, dy))
            one = Gradients.apply(x_dot, k_dot, dy, ctx.layout)
            other = Gradients.apply(x, k, dy_dot, ctx.layout)
            return one[0] + other[0], one[1] + other[1]

    class Involution(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Tensor, k: Tensor, layout: _Layout) -> Tensor:
            return operator(x, k, *layout.arguments)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
            _save(ctx, inputs)

        @staticmethod
        def backward(ctx: Any, dy: Tensor) -> tuple:
            return (*Gradients.apply(*ctx.saved_tensors, dy, ctx.layout), None)

        @staticmethod
        def jvp(ctx: Any, x_dot: Tensor, k_dot: Tensor, _: Any) -> Tensor:
            x, k = ctx.saved_tensors
            x_dot, k_dot = _known((x_dot, k_dot), (x, k))
            one = Involution.apply(x_dot, k, ctx.layout)
            return one + Involution.apply(x, k_dot, ctx.layout)

    return lambda x, k, *layout: Involution.apply(x, k, _Layout(layout))


def _save(ctx: Any, inputs: tuple) -> None:
    *tensors, ctx.layout = inputs
    ctx.save_for_backward(*tensors)
    ctx.save_for_forward(*tensors)


def _known(tangents: tuple, tensors: tuple) -> list[Tensor]:
    """Replaces missing tangents by zeros."""
    return [
        torch.zeros_like(tensor) if tangent is None else tangent
        for tangent, tensor in zip(tangents, tensors)
    ]
