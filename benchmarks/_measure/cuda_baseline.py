"""A simple CUDA kernel with one thread per output element, as a baseline.

It represents the published CuPy operator: channels first, one thread for each element
of the output or of a gradient, and sizes as compile-time constants. CuPy compiles the
kernel if it is installed, otherwise the runtime compiler of PyTorch.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import torch

THREADS = 256

_SOURCE = """
#define INSIDE(r, c) ((r) >= 0 && (r) < HEIGHT && (c) >= 0 && (c) < WIDTH)
extern "C" __global__ void forward(const REAL* x, const REAL* k, REAL* y) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= (long)BATCH * CHANNELS * HEIGHT * WIDTH) return;
  int w = i % WIDTH, h = i / WIDTH % HEIGHT;
  long c = i / WIDTH / HEIGHT, g = c / (CHANNELS / GROUPS);
  float sum = 0;
  #pragma unroll
  for (int a = 0; a < SIDE; ++a)
    #pragma unroll
    for (int b = 0; b < SIDE; ++b) {
      int row = h + a - SIDE / 2, column = w + b - SIDE / 2;
      if (INSIDE(row, column))
        sum += (float)k[((g * SIDE * SIDE + a * SIDE + b) * HEIGHT + h) * WIDTH + w] *
               (float)x[(c * HEIGHT + row) * WIDTH + column];
    }
  y[i] = (REAL)sum;
}
extern "C" __global__ void to_inputs(const REAL* dy, const REAL* k, REAL* dx) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= (long)BATCH * CHANNELS * HEIGHT * WIDTH) return;
  int w = i % WIDTH, h = i / WIDTH % HEIGHT;
  long c = i / WIDTH / HEIGHT, g = c / (CHANNELS / GROUPS);
  float sum = 0;
  #pragma unroll
  for (int a = 0; a < SIDE; ++a)
    #pragma unroll
    for (int b = 0; b < SIDE; ++b) {
      int row = h - a + SIDE / 2, column = w - b + SIDE / 2;
      if (INSIDE(row, column)) {
        long at = (g * SIDE * SIDE + a * SIDE + b) * HEIGHT + row;
        sum += (float)k[at * WIDTH + column] *
               (float)dy[(c * HEIGHT + row) * WIDTH + column];
      }
    }
  dx[i] = (REAL)sum;
}
extern "C" __global__ void to_kernels(const REAL* x, const REAL* dy, REAL* dk) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= (long)BATCH * GROUPS * SIDE * SIDE * HEIGHT * WIDTH) return;
  int w = i % WIDTH, h = i / WIDTH % HEIGHT;
  int b = i / WIDTH / HEIGHT % SIDE, a = i / WIDTH / HEIGHT / SIDE % SIDE;
  long g = i / WIDTH / HEIGHT / SIDE / SIDE;
  int row = h + a - SIDE / 2, column = w + b - SIDE / 2;
  float sum = 0;
  if (INSIDE(row, column))
    for (int j = 0; j < CHANNELS / GROUPS; ++j) {
      long c = g * (CHANNELS / GROUPS) + j;
      sum += (float)x[(c * HEIGHT + row) * WIDTH + column] *
             (float)dy[(c * HEIGHT + h) * WIDTH + w];
    }
  dk[i] = (REAL)sum;
}
"""


def unavailable_reason() -> str | None:
    if not torch.cuda.is_available():
        return "PyTorch sees no CUDA device."
    if _cupy_installed() or hasattr(torch.cuda, "_compile_kernel"):
        return None
    return "Needs CuPy, or a PyTorch that compiles CUDA kernels (2.9)."


def run(x: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Computes an involution in float32 with strides 1, channels first.

    Args:
        x: Tensor (B, C, H, W).
        k: Tensor (B, G, K, K, H, W).

    Returns:
        Tensor (B, C, H, W).
    """
    return _Involution.apply(x, k)


class _Involution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, k)
        y = torch.empty_like(x)
        _kernel("forward", *_sizes(x, k))(y.numel(), x, k, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, k = ctx.saved_tensors
        dx, dk = torch.empty_like(x), torch.empty_like(k)
        _kernel("to_inputs", *_sizes(x, k))(dx.numel(), dy.contiguous(), k, dx)
        _kernel("to_kernels", *_sizes(x, k))(dk.numel(), x, dy.contiguous(), dk)
        return dx, dk


def _sizes(x: torch.Tensor, k: torch.Tensor) -> tuple[int, ...]:
    return (*x.shape, k.shape[1], k.shape[2])


@functools.cache
def _kernel(name: str, *sizes: int) -> Callable[..., None]:
    names = ("BATCH", "CHANNELS", "HEIGHT", "WIDTH", "GROUPS", "SIDE")
    defined = [f"#define {n} {size}\n" for n, size in zip(names, sizes)]
    source = "".join(["#define REAL float\n", *defined, _SOURCE])
    if _cupy_installed():
        return _with_cupy(source, name)
    kernel = torch.cuda._compile_kernel(source, name)

    def launch(count: int, *tensors: torch.Tensor) -> None:
        grid = (-(-count // THREADS), 1, 1)
        kernel(grid=grid, block=(THREADS, 1, 1), args=list(tensors))

    return launch


def _with_cupy(source: str, name: str) -> Callable[..., None]:
    import cupy

    kernel = cupy.RawKernel(source, name)

    def launch(count: int, *tensors: torch.Tensor) -> None:
        stream = cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream)
        with stream:
            pointers = tuple(t.data_ptr() for t in tensors)
            kernel((-(-count // THREADS),), (THREADS,), pointers)

    return launch


def _cupy_installed() -> bool:
    return importlib.util.find_spec("cupy") is not None
