"""Products of channels with a matrix on PyTorch, by oneDNN where it supports them."""

from __future__ import annotations

from typing import Any

import torch

from keras_involution.ops.torch import _onednn

Tensor = torch.Tensor


def product(
    x: Tensor, matrix: Tensor, bias: Tensor | None = None, relu: bool = False
) -> Tensor:
    """`relu(x @ matrix + bias)`: (..., C), (C, F) and (F,) to (..., F)."""
    x = x.contiguous()
    if not _onednn.runs(x, matrix, bias):
        y = torch.nn.functional.linear(x, matrix.T, bias)
        return _relu(y) if relu else y
    tensors = (x, matrix) if bias is None else (x, matrix, bias)
    if not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors)):
        return _onednn.product(x, matrix, bias, relu)
    result: Tensor = _Product.apply(*tensors)
    return result.relu() if relu else result


def _relu(y: Tensor) -> Tensor:
    # Tracing compares the trace with one made without gradients.
    in_place = not (torch.is_grad_enabled() or torch.jit.is_tracing())
    return y.relu_() if in_place else y.relu()


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, matrix: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        ctx.save_for_backward(x, matrix)
        return _onednn.product(x, matrix, bias)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (x, matrix), (of_x, of_matrix, *of_bias) = (
            ctx.saved_tensors,
            ctx.needs_input_grad,
        )
        dy = dy.contiguous()
        # With gradients enabled, for derivatives of the gradients.
        plain = torch.is_grad_enabled() or not _onednn.runs(x, matrix, dy)
        rows = x.flatten(0, -2), dy.flatten(0, -2)
        dx = dmatrix = None
        if of_x:
            dx = dy @ matrix.T if plain else _onednn.product(dy, matrix.T)
        if of_matrix:
            dmatrix = rows[0].T @ rows[1] if plain else _onednn.matrix_gradient(*rows)
        return dx, dmatrix, *(rows[1].sum(0) if wanted else None for wanted in of_bias)
