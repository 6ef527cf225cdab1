"""Products and convolutions of oneDNN, with bias, sum and ReLU in the same pass.

PyTorch computes products of float32 matrices with MKL, which is half as fast where it
does not use AVX-512; oneDNN does not have this limit (benchmarks/RESULTS.md). PyTorch
calls these operations in compiled programs. `_private.py` says why they are used here.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry, register_flop_formula

from keras_involution.ops.torch import _private

Tensor = torch.Tensor


def runs(*tensors: Tensor | None) -> bool:
    """Whether the operations of this module support these tensors here."""
    return (
        are_plain(*tensors)
        and _is_available()
        and bool(torch.backends.mkldnn.enabled)
        and not torch.is_autocast_enabled("cpu")
    )


def are_plain(*tensors: Tensor | None) -> bool:
    """Whether all are contiguous float32 tensors on the CPU with at least one element,
    and neither a compiler nor a transform of `torch.func` handles the call."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    return not _private.is_transformed() and all(
        type(t) in (Tensor, torch.nn.Parameter)
        and t.device.type == "cpu"
        and t.dtype == torch.float32
        and t.is_contiguous()
        and bool(t.numel())
        for t in tensors
        if t is not None
    )


def product(
    x: Tensor, matrix: Tensor, bias: Tensor | None = None, relu: bool = False
) -> Tensor:
    """`relu(x @ matrix + bias)` without gradients: (..., C), (C, F) to (..., F)."""
    epilogue = "relu" if relu else "none"
    return _private.linear(x, matrix.T, bias, epilogue, [], "")


def convolved(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor,
    strides: tuple[int, ...],
    padding: int,
    shortcut: Tensor | None,
    relu: bool,
) -> Tensor:
    """`relu(convolution(x) + bias + shortcut)` without gradients: (B, H, W, C) and a
    kernel (Kh, Kw, C, F) to (B, Ho, Wo, F). It may overwrite the shortcut."""
    matrix = kernel[0, 0]
    is_product = kernel.shape[:2] == (1, 1) and max(strides) == 1
    if is_product and shortcut is None:
        return product(x, matrix, bias, relu)
    # A convolution copies its kernel, which takes long if that is larger than the map.
    if is_product and x.numel() < kernel.numel():
        y = _private.linear.binary(x, shortcut, matrix.T, bias, "add")
        return y.relu_() if relu else y
    planes, weights = x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1)
    sizes: tuple[Any, ...] = [padding] * 2, strides, [1, 1], 1
    if shortcut is None:
        epilogue: Any = "relu" if relu else "none", [], ""
        y = _private.convolution(planes, weights, bias, *sizes, *epilogue)
    else:
        sums = shortcut.permute(0, 3, 1, 2)
        epilogue = "add", 1.0, "relu" if relu else None, [], ""
        y = _private.convolution_into(sums, planes, weights, bias, *sizes, *epilogue)
    return y.permute(0, 2, 3, 1)


def matrix_gradient(x: Tensor, dy: Tensor) -> Tensor:
    """The gradient (C, F) of a matrix: `x.T @ dy` of (N, C) and (N, F)."""
    if _is_fast_in_mkl():
        return x.T @ dy
    if len(x) < _MANY_ROWS:
        return product(x.T, dy)
    # As the convolution of an image with one column.
    planes = (t[None, :, None, :].permute(0, 3, 1, 2) for t in (dy, x))
    kernel = x.new_empty(dy.shape[1], x.shape[1], 1, 1)
    sizes: Any = [1, 1], [0, 0], [1, 1], False, [0, 0], 1
    backward = torch.ops.aten.convolution_backward.default
    _, found, _ = backward(*planes, kernel, None, *sizes, [False, True, False])
    return found[:, :, 0, 0].T


# Products of a long and narrow transposed matrix take longer than the convolution.
_MANY_ROWS = 4096


@functools.cache
def _is_available() -> bool:
    is_known = torch.backends.cpu.get_cpu_capability().startswith("AVX")
    return is_known and torch.backends.mkldnn.is_available() and _private.has_onednn()


@functools.cache
def _is_fast_in_mkl() -> bool:
    read = getattr(torch.cpu, "get_capabilities", None)  # not in older releases
    return read is not None and "Intel" in str(read().get("cpu_name"))


# PyTorch's FLOP counter does not know these operations; `x` and others are shapes.
def _product_flops(x: Any, *_: Any, out_shape: Any, **__: Any) -> int:
    return int(2 * math.prod(x) * out_shape[-1])


def _convolution_flops(
    _: Any, weights: Any, *__: Any, out_shape: Any, **___: Any
) -> int:
    return int(2 * math.prod(out_shape) * math.prod(weights[1:]))


def _sum_flops(_: Any, *convolution: Any, **shape: Any) -> int:
    return _convolution_flops(*convolution, **shape)


if _private.has_onednn():
    for operation, flops in (
        (_private.linear, _product_flops),
        (_private.convolution, _convolution_flops),
        (_private.convolution_into, _sum_flops),
    ):
        if operation not in flop_registry:
            register_flop_formula(operation)(flops)
