"""The operator and its gradients in C++ for the CPU.

`_cpp/involution.cpp` describes the algorithm. The library is included in the wheel, or
it is compiled on first use, once per machine. Tensors are read in their own memory
layout; half precision is converted to float32 first.
"""

from __future__ import annotations

from typing import Any

import torch

from keras_involution.ops._cpp import loading
from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops.torch._cpp_call import call
from keras_involution.ops.torch._layout import wide, with_plain_taps
from keras_involution.ops.torch._operator import define
from keras_involution.ops.torch.cpp_fused import fused_with

Tensor = torch.Tensor

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def _forward(inputs: Tensor, kernels: Tensor, geometry: Geometry) -> Tensor:
    dtype = wide(inputs.dtype)
    x, k = inputs.to(dtype), with_plain_taps(kernels.to(dtype), geometry)
    shape: Any = geometry.output_shape(x.shape)
    y = torch.empty(shape, dtype=x.dtype)
    if y.numel():
        steps = x.stride(), k.stride(), y.stride(), x.stride(), k.stride()
        call("involution", geometry, (x, k, y), steps)
    return y.to(inputs.dtype)


def _gradients(
    inputs: Tensor,
    kernels: Tensor,
    upstream: Tensor,
    geometry: Geometry,
    of_inputs: bool,
    of_kernels: bool,
) -> tuple[Tensor, Tensor]:
    dtype = wide(inputs.dtype)
    x, k = inputs.to(dtype), with_plain_taps(kernels.to(dtype), geometry)
    dy = upstream.to(x.dtype)
    dx = torch.empty(x.shape if of_inputs else 0, dtype=x.dtype)
    dk = torch.empty(k.shape if of_kernels else 0, dtype=k.dtype)
    if dy.numel():
        layouts = (x, k, dy, dx if of_inputs else x, dk if of_kernels else k)
        steps = tuple(tensor.stride() for tensor in layouts)
        call("gradients", geometry, (x, k, dy, dx, dk), steps)
    else:
        dx.zero_()
    return dx.to(inputs.dtype), dk.to(kernels.dtype)


@torch.compiler.assume_constant_result
def _compiler_reason() -> str | None:
    return loading.reason()


def _unsupported_reason(
    inputs: Tensor, kernels: Tensor, geometry: Geometry
) -> str | None:
    if inputs.device.type != "cpu":
        return f"It runs on CPUs, and the tensors are on {inputs.device}."
    if inputs.dtype not in _DTYPES:
        return f"It supports {_DTYPES}, and the tensors are {inputs.dtype}."
    if torch.compiler.is_compiling():  # sizes may be symbolic
        return _compiler_reason()
    return loading.reason()


_run = define("cpp", _forward, _gradients, "cpu")
_fused = fused_with(_run)
CPP = Implementation("cpp", _run, _unsupported_reason, fused=lambda: _fused)
