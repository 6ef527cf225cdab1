"""Involution whose kernels are computed in the cache, in C++ for the CPU.

`_cpp/fused.h` describes the algorithm. The kernels of a batch are never stored; the
gradients compute them again.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Fused
from keras_involution.ops.torch._cpp_call import call
from keras_involution.ops.torch._pieces import at_once, differentiable_gradients
from keras_involution.ops.torch._private import is_transformed

Tensor = torch.Tensor
Run = Callable[[Tensor, Tensor, Geometry], Tensor]

_ARGUMENTS = (
    "Tensor inputs, Tensor features, Tensor matrix, Tensor bias, int[] kernel_size, "
    "int groups, int[] strides, int[] dilation_rate"
)


def fused_with(run: Run) -> Fused:
    """The fused operator; `run` applies stored kernels where it cannot be used."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, geometry: Geometry, *tensors: Tensor) -> Tensor:
            ctx.geometry = geometry
            ctx.save_for_backward(*tensors)
            return _operator(*tensors, *_sizes(geometry))

        @staticmethod
        def backward(ctx: Any, dy: Tensor) -> tuple:
            wanted = ctx.needs_input_grad[1:]
            if torch.is_grad_enabled():  # the gradients are differentiated
                y = at_once(run, ctx.geometry, *ctx.saved_tensors)
                return None, *differentiable_gradients(y, ctx.saved_tensors, wanted, dy)
            sizes = _sizes(ctx.geometry)
            return None, *_operator_gradients(*ctx.saved_tensors, *sizes, dy)

    def fused(
        x: Tensor, f: Tensor, matrix: Tensor, bias: Tensor, geometry: Geometry
    ) -> Tensor:
        # Compilers and transforms need code that they can differentiate.
        if torch.compiler.is_compiling() or torch.jit.is_tracing() or is_transformed():
            return at_once(run, geometry, x, f, matrix, bias)
        outputs: Tensor = Function.apply(geometry, x, f, matrix, bias)
        return outputs

    return fused


def _sizes(geometry: Geometry) -> tuple:
    groups, rate = geometry.groups, geometry.dilation_rate
    return geometry.kernel_size, groups, geometry.strides, rate


torch.library.define("keras_involution::fused", f"({_ARGUMENTS}) -> Tensor")
torch.library.define(
    "keras_involution::fused_gradients",
    f"({_ARGUMENTS}, Tensor upstream) -> (Tensor, Tensor, Tensor, Tensor)",
)
_operator = torch.ops.keras_involution.fused.default
_operator_gradients = torch.ops.keras_involution.fused_gradients.default


@torch.library.impl("keras_involution::fused", "cpu")
def _forward(x: Tensor, f: Tensor, matrix: Tensor, bias: Tensor, *sizes: Any) -> Tensor:
    geometry = _geometry(x.shape[-1], *sizes)
    y = _outputs(x, f, matrix, bias, *sizes)
    if y.numel():
        span = f.contiguous(), matrix.contiguous(), bias.contiguous()
        call("fused", geometry, (x, *span, y), _steps(x, y, x), len(matrix))
    return y


@torch.library.impl("keras_involution::fused_gradients", "cpu")
def _gradients(
    x: Tensor, f: Tensor, matrix: Tensor, bias: Tensor, *sizes_and_upstream: Any
) -> tuple[Tensor, ...]:
    *sizes, dy = sizes_and_upstream
    span = f.contiguous(), matrix.contiguous(), bias.contiguous()
    geometry = _geometry(x.shape[-1], *sizes)
    gradients = [t.new_empty(t.shape) for t in (x, *span)]
    if not dy.numel():
        return tuple(gradient.zero_() for gradient in gradients)
    steps = _steps(x, dy, gradients[0])
    call("fused_gradients", geometry, (x, *span, dy, *gradients), steps, len(matrix))
    return tuple(gradients)


def _steps(x: Tensor, y: Tensor, dx: Tensor) -> tuple[tuple[int, ...], ...]:
    """Memory steps; there are no kernels."""
    none = (0,) * (2 * x.ndim - 2)
    return x.stride(), none, y.stride(), dx.stride(), none


def _geometry(channels: int, *sizes: Any) -> Geometry:
    window, groups, strides, rate = sizes
    return _cached_geometry(
        channels, tuple(window), groups, tuple(strides), tuple(rate)
    )


@functools.lru_cache(maxsize=1024)
def _cached_geometry(
    channels: int, window: tuple, groups: int, strides: tuple, rate: tuple
) -> Geometry:
    return Geometry(window, strides, rate, groups, channels, "channels_last")


@torch.library.register_fake("keras_involution::fused")
def _outputs(x: Tensor, f: Tensor, matrix: Tensor, bias: Tensor, *sizes: Any) -> Tensor:
    shape: Any = _geometry(x.shape[-1], *sizes).output_shape(x.shape)
    return x.new_empty(shape)


@torch.library.register_fake("keras_involution::fused_gradients")
def _(x: Tensor, f: Tensor, matrix: Tensor, bias: Tensor, *others: Any) -> tuple:
    return tuple(t.new_empty(t.shape) for t in (x, f, matrix, bias))


# Products and sums of the kernels, and of the taps that they are applied to.
@register_flop_formula(torch.ops.keras_involution.fused)
def _flops(x: Any, f: Any, matrix: Any, bias: Any, *sizes: Any, **_: Any) -> int:
    positions, taps = math.prod(f[:-1]), math.prod(sizes[0])
    return int(2 * positions * (math.prod(matrix) + taps * x[-1]))


@register_flop_formula(torch.ops.keras_involution.fused_gradients)
def _(x: Any, f: Any, matrix: Any, bias: Any, *sizes: Any, **_: Any) -> int:
    positions, taps = math.prod(f[:-1]), math.prod(sizes[0])
    return int(2 * positions * (3 * math.prod(matrix) + 2 * taps * x[-1]))
