"""The operator and its gradients in C++ for the CPU, called by XLA programs.

`_cpp/involution.cpp` describes the algorithm. The library is included in the wheel, or
it is compiled on first use, once per machine. XLA's own code for the gradients,
`native`, takes several times as long.

With several devices, each computes its images of the batch (`_sharded_call.py`).

A program with these calls runs only where they are registered. `jax.export` therefore
writes `native`, and `native` is also chosen if sizes are unknown.
"""

from __future__ import annotations

import ctypes
import functools
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from keras_involution.ops._cpp import compiler, loading
from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops.jax import native
from keras_involution.ops.jax._fused_primitives import fused_operation
from keras_involution.ops.jax._primitives import operation
from keras_involution.ops.jax._sharded_call import sharded_call

_SOURCE = Path(__file__).with_name("xla_calls.cpp")
_DTYPES = ("float32", "float64", "float16", "bfloat16")


def _forward(geometry: Geometry, x: jax.Array, k: jax.Array) -> jax.Array:
    shape: Any = geometry.output_shape(x.shape)
    return _call("involution", geometry, (shape,), x, k)[0]


def _gradients(geometry: Geometry, x: jax.Array, k: jax.Array, dy: jax.Array):
    return tuple(_call("gradients", geometry, (x.shape, k.shape), x, k, dy))


def _fused(geometry: Geometry, *tensors: jax.Array) -> jax.Array:
    shape: Any = geometry.output_shape(tensors[0].shape)
    return _call("fused", geometry, (shape,), *tensors)[0]


def _fused_gradients(geometry: Geometry, *tensors: jax.Array) -> tuple:
    shapes = tuple(tensor.shape for tensor in tensors[:4])
    return tuple(_call("fused_gradients", geometry, shapes, *tensors))


def _call(
    function: str, geometry: Geometry, shapes: tuple, *tensors: jax.Array
) -> list[jax.Array]:
    """Runs the compiled function on the tensors; the results have the same dtype."""
    dtype, sizes = tensors[0].dtype, tensors[0].shape
    if 0 in shapes[0] or 0 in sizes:
        return [jnp.zeros(shape, dtype) for shape in shapes]
    wide = jnp.float64 if dtype == jnp.float64 else jnp.float32
    _register()
    is_fused = "fused" in function
    features = len(tensors[2]) if is_fused else 0
    results = (_one_device_call if is_fused else sharded_call)(
        f"keras_involution_{function}",
        shapes,
        *(tensor.astype(wide) for tensor in tensors),
        library=_library().path,
        problem=_problem(geometry, wide == jnp.float64, sizes, features),
    )
    return [result.astype(dtype) for result in results]


def _one_device_call(
    target: str, shapes: tuple, *tensors: jax.Array, library: str, problem: tuple
) -> list[jax.Array]:
    """As `sharded_call`, for functions that cannot be sharded."""
    results = [jax.ShapeDtypeStruct(shape, tensors[0].dtype) for shape in shapes]
    numbers = np.asarray(problem, np.int64)
    call = jax.ffi.ffi_call(target, results)
    return list(call(*tensors, library=library, problem=numbers))


@functools.lru_cache(maxsize=1024)
def _problem(
    geometry: Geometry, double: bool, shape: tuple[int, ...], features: int = 0
) -> tuple:
    """The argument block; every tensor of an XLA program is stored row by row."""
    x = _steps(shape)
    k = _steps(geometry.kernels_shape(shape))
    y = _steps(geometry.output_shape(shape))
    steps = (x, k, y, x, k)
    numbers = _library().problem(geometry, double, shape, steps, features=features)
    return tuple(numbers)


def _steps(shape: tuple) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _library() -> loading.Kernels:
    library = loading.kernels()
    if isinstance(library, str):
        raise ValueError(library)
    return library


@functools.cache
def _register() -> str | None:
    """Registers the calls with XLA, or returns the reason this is impossible."""
    answer = compiler.loaded(_registered, _SOURCE)
    return answer if isinstance(answer, str) else None


def _registered(path: Path) -> ctypes.CDLL | str:
    try:
        calls = ctypes.CDLL(str(path))
        for function in ("involution", "gradients", "fused", "fused_gradients"):
            capsule = jax.ffi.pycapsule(getattr(calls, f"{function}_call"))
            name = f"keras_involution_{function}"
            jax.ffi.register_ffi_target(name, capsule, platform="cpu")
            if "fused" not in function:  # its gradients are sums over the batch
                jax.ffi.register_ffi_target_as_batch_partitionable(name)
    except (OSError, jax.errors.JaxRuntimeError) as error:
        return f"XLA cannot load the compiled calls: {error}."
    return calls


def _unsupported_reason(
    inputs: jax.Array, kernels: jax.Array, geometry: Geometry
) -> str | None:
    if jax.default_backend() != "cpu":
        return f"It runs on CPUs, and JAX uses a {jax.default_backend().upper()}."
    if str(inputs.dtype) not in _DTYPES:
        return f"It supports {_DTYPES}, and the tensors are {inputs.dtype}."
    if not all(isinstance(size, int) for size in inputs.shape):
        return f"All sizes must be known, and the inputs have shape {inputs.shape}."
    return loading.reason() or _register()


_run = operation("cpp", (_forward, _gradients), (native.forward, native.gradients))
_fused_run = fused_operation("involution_fused", _run, _fused, _fused_gradients)
CPP = Implementation(
    "cpp",
    _run,
    _unsupported_reason,
    fused=lambda: _fused_run if jax.device_count() == 1 else None,
)
