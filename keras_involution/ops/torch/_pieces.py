"""Involution of a few images at a time; the kernels are computed twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops.torch._private import is_transformed

Tensor = torch.Tensor


def in_pieces(
    implementation: Implementation,
    x: Tensor,
    f: Tensor,
    matrix: Tensor,
    bias: Tensor,
    geometry: Geometry,
    images: int,
) -> Tensor:
    """The outputs (B, Ho, Wo, C), channels last, `images` at a time."""
    work = _Work(implementation, geometry, images)
    # Compilers plan the memory themselves, and transforms need differentiable code.
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or is_transformed():
        return work.at_once(x, f, matrix, bias)
    outputs: Tensor = _InPieces.apply(work, x, f, matrix, bias)
    return outputs


@dataclass(frozen=True)
class _Work:
    implementation: Implementation
    geometry: Geometry
    images: int

    def at_once(self, *tensors: Tensor) -> Tensor:
        return at_once(self.implementation.run, self.geometry, *tensors)

    def gradients(
        self, x: Tensor, f: Tensor, matrix: Tensor, bias: Tensor, dy: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Gradients of x, and of the kernels as rows of a matrix."""
        kernels = _kernels(x, f, matrix, bias, self.geometry)
        known = getattr(self.implementation.run, "gradients", None)
        if known is not None:
            dx, dk = known(x, kernels, dy, self.geometry)
        else:
            with torch.enable_grad():
                leaves = x.detach().requires_grad_(), kernels.requires_grad_()
                y = self.implementation.run(*leaves, self.geometry)
                dx, dk = torch.autograd.grad(y, leaves, dy)
        return dx, dk.reshape(-1, matrix.shape[1])


def at_once(
    run: Callable[[Tensor, Tensor, Geometry], Tensor],
    geometry: Geometry,
    x: Tensor,
    f: Tensor,
    matrix: Tensor,
    bias: Tensor,
) -> Tensor:
    """Computes all kernels and applies them."""
    return run(x, _kernels(x, f, matrix, bias, geometry), geometry)


def _kernels(
    x: Tensor, f: Tensor, matrix: Tensor, bias: Tensor, geometry: Geometry
) -> Tensor:
    shape: Any = geometry.kernels_shape(tuple(x.shape))
    return torch.nn.functional.linear(f, matrix.T, bias).reshape(shape)


def differentiable_gradients(
    y: Tensor, tensors: Sequence[Tensor], wanted: Sequence[bool], dy: Tensor
) -> Iterator[Tensor | None]:
    """The gradients of the wanted tensors, with a graph of their computation."""
    sources = [tensor for tensor, is_wanted in zip(tensors, wanted) if is_wanted]
    found = iter(torch.autograd.grad(y, sources, dy, create_graph=True))
    return (next(found) if is_wanted else None for is_wanted in wanted)


class _InPieces(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, work: _Work, x: Tensor, f: Tensor, matrix: Tensor, bias: Tensor
    ) -> Tensor:
        ctx.work = work
        ctx.save_for_backward(x, f, matrix, bias)
        if len(x) <= work.images:
            return work.at_once(x, f, matrix, bias)
        pieces = zip(x.split(work.images), f.split(work.images), strict=True)
        return torch.cat([work.at_once(*piece, matrix, bias) for piece in pieces])

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple:
        work, saved = ctx.work, ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradients are differentiated
            wanted = ctx.needs_input_grad[1:]
            y = work.at_once(*saved)
            return None, *differentiable_gradients(y, saved, wanted, dy)
        x, f, matrix, bias = saved
        if len(x) <= work.images:
            dx, dk = work.gradients(*saved, dy)
            rows = f.reshape(-1, len(matrix))
            return None, dx, (dk @ matrix.T).reshape(f.shape), rows.T @ dk, dk.sum(0)
        dx, df = torch.empty_like(x), torch.empty_like(f)
        d_matrix, d_bias = torch.zeros_like(matrix), torch.zeros_like(bias)
        for start in range(0, len(x), work.images):
            own = slice(start, start + work.images)
            dx[own], dk = work.gradients(x[own], f[own], matrix, bias, dy[own])
            df[own] = (dk @ matrix.T).reshape(f[own].shape)
            d_matrix.addmm_(f[own].reshape(-1, len(matrix)).T, dk)
            d_bias += dk.sum(0)
        return None, dx, df, d_matrix, d_bias
