"""Involution whose kernels are computed in the cache, as TensorFlow operations.

`_cpp/fused.h` describes the algorithm. The kernels of a batch are never stored; the
gradients compute them again. Only derivatives of the gradients store them.
"""

from __future__ import annotations

import math

import tensorflow as tf

from keras_involution.ops._geometry import Geometry
from keras_involution.ops.tensorflow._cpp_call import like, outputs


def fused(
    x: tf.Tensor, f: tf.Tensor, matrix: tf.Tensor, bias: tf.Tensor, geometry: Geometry
) -> tf.Tensor:
    return outputs("keras_involution_fused", geometry, x, f, matrix, bias)


@tf.RegisterGradient("KerasInvolutionFused")
def _gradients(operation: tf.Operation, dy: tf.Tensor) -> tuple:
    name = "keras_involution_fused_gradients"
    return tuple(like(name, operation, *operation.inputs, dy))


@tf.RegisterGradient("KerasInvolutionFusedGradients")
def _second_derivatives(operation: tf.Operation, *upstreams: tf.Tensor) -> list:
    *tensors, dy = operation.inputs
    with tf.GradientTape() as outer:
        outer.watch((*tensors, dy))
        with tf.GradientTape() as inner:
            inner.watch(tensors)
            y = _with_stored_kernels(operation, *tensors)
        gradients = inner.gradient(y, tensors, dy)
    return outer.gradient(gradients, (*tensors, dy), upstreams)


def _with_stored_kernels(
    operation: tf.Operation,
    x: tf.Tensor,
    f: tf.Tensor,
    matrix: tf.Tensor,
    bias: tf.Tensor,
) -> tf.Tensor:
    """The same outputs, composed of operations with derivatives of any order."""
    window = operation.get_attr("kernel_size")
    groups = bias.shape[0] // math.prod(window)
    kernels = tf.reshape(
        tf.reshape(f, (-1, f.shape[-1])) @ matrix + bias,
        tf.concat([tf.shape(f)[:-1], (groups, *window)], 0),
    )
    return like("keras_involution", operation, x, kernels)
