"""The operator for XLA through TensorFlow, with gradients written by hand.

Unless XLA fuses them, TensorFlow runs one kernel per shifted slice. The operator is
therefore compiled by XLA (`jit_compile=True`), also inside other functions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf
from keras import ops

from keras_involution.ops import _kernels_gradient, _sums
from keras_involution.ops._arrays import merge_groups, pad
from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops.tensorflow import _private


def involution(inputs: tf.Tensor, kernels: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    def pull_back(x, k, dy):
        dx = _gradient_of_inputs(x, k, dy, geometry)
        return dx, _gradient_of_kernels(x, dy, geometry)

    return _run(_forward, geometry, pull_back, inputs, kernels)


# Involution is linear in each of its two inputs, so the derivatives of its gradients,
# X(k, dy) and K(x, dy), are again the same functions:
# <u, X(k, dy)> = <I(u, k), dy> and <v, K(x, dy)> = <I(x, v), dy>.


def _gradient_of_inputs(
    x: tf.Tensor, k: tf.Tensor, dy: tf.Tensor, geometry: Geometry
) -> tf.Tensor:
    """X(k, dy); only the sizes of x are read."""

    def pull_back(x, k, dy, u):
        return None, _gradient_of_kernels(u, dy, geometry), involution(u, k, geometry)

    return _run(_input_gradient, geometry, pull_back, x, k, dy)


def _gradient_of_kernels(x: tf.Tensor, dy: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """K(x, dy)."""

    def pull_back(x, dy, v):
        return _gradient_of_inputs(x, v, dy, geometry), involution(x, v, geometry)

    return _run(_weights_gradient, geometry, pull_back, x, dy)


def _forward(geometry: Geometry, x: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    return tf.cast(merge_groups(_sums.outputs(geometry, x, k), geometry), x.dtype)


def _input_gradient(
    geometry: Geometry, x: tf.Tensor, k: tf.Tensor, dy: tf.Tensor
) -> tf.Tensor:
    sizes = [ops.shape(x)[axis] for axis in geometry.spatial_axes]
    return tf.ensure_shape(_sums.input_gradient(geometry, sizes, k, dy), x.shape)


def _weights_gradient(geometry: Geometry, x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
    if all(device.device_type == "CPU" for device in tf.config.list_logical_devices()):
        dk = _weights_gradient_by_loops(geometry, x, dy)
    else:
        dk = _kernels_gradient.by_reduction(geometry, x, dy)
    sizes = [ops.shape(dy)[axis] for axis in geometry.spatial_axes]
    window = [geometry.groups, *geometry.kernel_size]
    shape = [*window, *sizes] if geometry.channels_first else [*sizes, *window]
    dk = tf.reshape(dk, [ops.shape(x)[0], *shape])
    return tf.ensure_shape(dk, geometry.kernels_shape(tuple(x.shape)))


def _weights_gradient_by_loops(
    geometry: Geometry, x: tf.Tensor, dy: tf.Tensor
) -> tf.Tensor:
    loop = functools.partial(tf.map_fn, fn_output_signature=x.dtype)
    images = _one_image_at_least(x), _one_image_at_least(dy)
    return _kernels_gradient.by_loops(geometry, *images, loop)[: ops.shape(x)[0]]


def _one_image_at_least(images: tf.Tensor) -> tf.Tensor:
    """Adds an image to an empty batch: XLA does not allow an empty loop."""
    missing = 1 - tf.minimum(ops.shape(images)[0], 1)
    return pad(images, [0], [(0, missing)]) if images.shape[0] in (0, None) else images


def _run(
    function: Callable, geometry: Geometry, pull_back: Callable, *tensors: tf.Tensor
) -> tf.Tensor:
    """Runs the compiled function without recording it on gradient tapes.

    A tape that records it would keep all intermediate results of the program.
    """
    program = _compiled(function, geometry)
    if not tf.executing_eagerly():
        if _is_traced_without_gradients(tensors):
            return program(*tensors)
        # A gradient inside `tf.cond` can use only tensors created in the branch.
        tensors = tuple(map(tf.identity, tensors))

    @tf.custom_gradient
    def run(*tensors):
        value = program(*map(tf.stop_gradient, tensors))
        return value, lambda upstream: pull_back(*tensors, upstream)

    return run(*tensors)


def _is_traced_without_gradients(tensors: tuple[tf.Tensor, ...]) -> bool:
    """Whether this graph will lose a custom gradient.

    The body of a `tf.vectorized_map` or of a Jacobian loses it when vectorized. In a
    graph, a `tf.autodiff.ForwardAccumulator` ignores it.
    """
    return _private.is_vectorized() or _private.has_tangents(tensors)


@functools.cache
def _compiled(function: Callable, geometry: Geometry) -> Callable:
    @tf.function(jit_compile=True, autograph=False)
    def involution(*tensors):
        return function(geometry, *tensors)

    return involution


NATIVE = Implementation("native", involution, lambda inputs, kernels, geometry: None)
