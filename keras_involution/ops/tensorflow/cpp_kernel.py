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

import tensorflow as tf

from keras_involution.ops import _callers
from keras_involution.ops._cpp import loading
from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops.tensorflow import _private
from keras_involution.ops.tensorflow._cpp_call import like, operations, outputs
from keras_involution.ops.tensorflow.cpp_fused import fused

_DTYPES = (tf.float32, tf.float64, tf.float16, tf.bfloat16)


def _involution(inputs: tf.Tensor, kernels: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    if inputs.dtype not in (tf.float32, tf.float64):
        wide = tf.cast(inputs, tf.float32), tf.cast(kernels, tf.float32)
        return tf.cast(_involution(*wide, geometry), inputs.dtype)
    return outputs("keras_involution", geometry, inputs, kernels)


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
    run = functools.partial(like, "keras_involution", operation)
    return *_of_both(operation, u, v, dy), run(u, k) + run(x, v)


def _of_both(operation: tf.Operation, *tensors: tf.Tensor) -> tuple:
    return tuple(like("keras_involution_gradients", operation, *tensors))


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
    found = operations()
    return found if isinstance(found, str) else loading.reason()


def _is_chosen() -> bool:
    if tf.executing_eagerly():
        return True
    return _callers.runs_here() and not _private.is_vectorized()


CPP = Implementation(
    "cpp", _involution, _unsupported_reason, _is_chosen, fused=lambda: fused
)
