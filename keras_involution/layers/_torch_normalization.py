"""Batch normalization in training on PyTorch, with the sum and the ReLU after it.

On CPUs, rows of float32 channels are computed in C++ (`ops/_cpp/normalization.h`). All
else is PyTorch's own operation, with the sum and the ReLU in the memory of its outputs.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import torch

from keras_involution.ops._cpp import loading
from keras_involution.ops.torch._onednn import are_plain

Tensor = torch.Tensor


def normalized(
    x: Tensor,
    axis: int,
    scale: Tensor | None,
    offset: Tensor | None,
    epsilon: float,
    shortcut: Tensor | None = None,
    relu: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """`relu(norm(x) + shortcut)` by the statistics of the batch.

    Args:
        x: Tensor of any rank.
        axis: Integer, the axis of the C channels.
        scale: Tensor (C,), or `None` for 1.
        offset: Tensor (C,), or `None` for 0.
        epsilon: Float, added to the variance.
        shortcut: Tensor to add, with the shape of `x`, or `None`.
        relu: Boolean, whether to apply ReLU.

    Returns:
        Tuple of the outputs, and of mean and variance of the batch (C,), which have no
        gradient.
    """
    axis %= x.ndim
    if axis == x.ndim - 1 and _runs_in_cpp(x, scale, offset, shortcut):
        result: tuple[Tensor, Tensor, Tensor] = _Normalized.apply(
            x, scale, offset, shortcut, epsilon, relu
        )
        return result
    return _by_torch(x, axis, scale, offset, epsilon, shortcut, relu)


def _runs_in_cpp(*tensors: Tensor | None) -> bool:
    return are_plain(*tensors) and loading.reason() is None


class _Normalized(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scale: Tensor | None,
        offset: Tensor | None,
        shortcut: Tensor | None,
        epsilon: float,
        relu: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        y = torch.empty_like(x)
        mean, variance = x.new_empty(x.shape[-1]), x.new_empty(x.shape[-1])
        block = _block(x, relu, epsilon)
        _call("normalized", block, x, shortcut, scale, offset, y, mean, variance)
        ctx.save_for_backward(x, scale, y if relu else None, mean, variance)
        ctx.epsilon = epsilon
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Any) -> tuple:
        wanted = ctx.needs_input_grad
        # With gradients enabled, for derivatives of the gradients.
        compute = _differentiable if torch.is_grad_enabled() else _in_cpp
        found = compute(ctx.saved_tensors, ctx.epsilon, dy.contiguous(), wanted)
        return tuple(g if w else None for g, w in zip((*found, None, None), wanted))


def _in_cpp(saved: tuple, epsilon: float, dy: Tensor, wanted: Any) -> tuple:
    x, scale, y, mean, variance = saved
    dx, dscale, doffset = (torch.empty_like(t) for t in (x, mean, mean))
    behind = torch.empty_like(x) if y is not None and wanted[3] else None
    block = _block(x, y is not None, epsilon)
    known, results = (x, y, dy, scale, mean, variance), (dx, behind, dscale, doffset)
    _call("normalized_gradients", block, *known, *results)
    return dx, dscale, doffset, dy if y is None else behind


def _differentiable(saved: tuple, epsilon: float, dy: Tensor, wanted: Any) -> tuple:
    x, scale, y, *_ = saved
    behind = dy if y is None else torch.where(y > 0, dy, 0)
    again, _, _ = _by_torch(x, x.ndim - 1, scale, None, epsilon, None, False)
    inputs: Any = [t for t, w in zip((x, scale), wanted) if w]
    found = iter(
        torch.autograd.grad(again, inputs, behind, create_graph=True) if inputs else ()
    )
    dx, dscale = (next(found) if w else None for w in wanted[:2])
    return dx, dscale, behind.sum(tuple(range(x.ndim - 1))), behind


def _block(x: Tensor, relu: bool, epsilon: float) -> loading.Normalization:
    channels = x.shape[-1]
    rows, threads = x.numel() // channels, torch.get_num_threads()
    return loading.Normalization(rows, channels, threads, relu, epsilon)


def _call(function: str, block: loading.Normalization, *tensors: Tensor | None) -> None:
    places = (None if t is None else t.data_ptr() for t in tensors)
    if getattr(loading.kernels(), function)(ctypes.byref(block), *places):
        raise MemoryError("No memory for the sums of batch normalization.")


def _by_torch(
    x: Tensor,
    axis: int,
    scale: Tensor | None,
    offset: Tensor | None,
    epsilon: float,
    shortcut: Tensor | None,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    shape = x.shape
    before, channels, after = (
        math.prod(shape[:axis]),
        shape[axis],
        math.prod(shape[axis + 1 :]),
    )
    # With channels last, the batch is passed as one image in that memory format.
    is_last = after == 1

    def planes(x: Tensor) -> Tensor:
        if is_last:
            return x.reshape(1, before, 1, channels).permute(0, 3, 1, 2)
        return x.reshape(before, channels, after, 1)

    y, mean, inverse = torch.native_batch_norm(
        planes(x), scale, offset, None, None, True, 0.0, epsilon
    )
    if shortcut is not None:
        y = y.add_(planes(shortcut))
    if relu:
        y = y.relu_()
    if is_last:
        y = y.permute(0, 2, 3, 1)
    mean, inverse = mean.detach(), inverse.detach()
    variance = torch.clamp(inverse**-2 - epsilon, min=0)
    return y.reshape(shape), mean, variance
