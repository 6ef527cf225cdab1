"""The operator and its gradients in C++ for the CPU, as TensorFlow operations.

`_cpp/involution.cpp` describes the algorithm. The library is included in the wheel, or
it is compiled on first use, once per machine. XLA's own code, `native`, takes several
times as long.

A graph with these operations runs only where they are registered. The implementation is
therefore chosen automatically only where no program is saved: in eager mode, in the
programs of `fit`, `evaluate` and `predict`, and in a `tf.function` that is called, but
not by another one. Elsewhere it must be named.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_involution.ops import _callers
from keras_involution.ops._cpp import compiler, loading
from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops.tensorflow import _private

_SOURCE = Path(__file__).with_name("tensorflow_calls.cpp")
_DTYPES = (tf.float32, tf.float64, tf.float16, tf.bfloat16)
_ATTRIBUTES = (
    "library",
    "channels_first",
    "group_channels",
    "kernel_size",
    "strides",
    "dilation_rate",
)


def _involution(inputs: tf.Tensor, kernels: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    if inputs.dtype not in (tf.float32, tf.float64):
        wide = tf.cast(inputs, tf.float32), tf.cast(kernels, tf.float32)
        return tf.cast(_involution(*wide, geometry), inputs.dtype)
    outputs = _operations().keras_involution(inputs, kernels, **_attributes(geometry))
    if not tf.executing_eagerly():
        outputs.set_shape(geometry.output_shape(tuple(inputs.shape)))
    return outputs


@functools.lru_cache(maxsize=1024)
def _attributes(geometry: Geometry) -> dict[str, Any]:
    library = loading.kernels()
    if isinstance(library, str):
        raise ValueError(library)
    return {
        "library": library.path,
        "channels_first": geometry.channels_first,
        "group_channels": geometry.group_channels,
        "kernel_size": list(geometry.kernel_size),
        "strides": list(geometry.strides),
        "dilation_rate": list(geometry.dilation_rate),
    }


@functools.cache
def _operations() -> Any:
    """TensorFlow's module of the two operations, or the reason there is none."""
    return compiler.loaded(_loaded, _SOURCE, tuple(tf.sysconfig.get_link_flags()))


def _loaded(path: Path) -> Any:
    try:
        return tf.load_op_library(str(path))
    except (OSError, tf.errors.OpError) as error:
        return f"TensorFlow cannot load the compiled operations: {error}."


@tf.RegisterGradient("KerasInvolution")
def _gradients(operation: tf.Operation, upstream: tf.Tensor) -> tuple:
    x, k = operation.inputs
    return _of_both(operation, x, k, upstream)


# Involution I(x, k) is linear in both, so the derivatives of its gradients X(k, dy) and
# K(x, dy) are again the same functions:
# <u, X(k, dy)> = <I(u, k), dy> and <v, K(x, dy)> = <I(x, v), dy>.


@tf.RegisterGradient("KerasInvolutionGradients")
def _second_derivatives(operation: tf.Operation, u: tf.Tensor, v: tf.Tensor) -> tuple:
    x, k, dy = operation.inputs
    run = functools.partial(_operations().keras_involution, **_named(operation))
    return *_of_both(operation, u, v, dy), run(u, k) + run(x, v)


def _of_both(operation: tf.Operation, x: tf.Tensor, k: tf.Tensor, dy: tf.Tensor):
    gradients = _operations().keras_involution_gradients
    return tuple(gradients(x, k, dy, **_named(operation)))


def _named(operation: tf.Operation) -> dict[str, Any]:
    return {name: operation.get_attr(name) for name in _ATTRIBUTES}


def _unsupported_reason(
    inputs: tf.Tensor, kernels: tf.Tensor, geometry: Geometry
) -> str | None:
    others = {device.device_type for device in tf.config.list_physical_devices()}
    if others != {"CPU"}:
        return f"It runs on CPUs, and TensorFlow uses {sorted(others)}."
    if inputs.dtype not in _DTYPES:
        return f"It supports {_DTYPES}, and the tensors are {inputs.dtype}."
    if not tf.executing_eagerly() and _private.is_compiled_by_xla():
        return "XLA compiles this program and does not support custom operations."
    operations = _operations()
    return operations if isinstance(operations, str) else loading.reason()


def _is_chosen() -> bool:
    if tf.executing_eagerly():
        return True
    return _callers.runs_here() and not _private.is_vectorized()


CPP = Implementation("cpp", _involution, _unsupported_reason, _is_chosen)
