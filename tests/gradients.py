"""Values and gradients of a function of tensors, on the running backend."""

from __future__ import annotations

import keras


def value_and_gradients(function, *tensors):
    """Computes `function(*tensors[:-1])`, and its gradients for `tensors[-1]` upstream.

    Returns the tuple (value, gradients of the tensors in `tensors[:-1]`).
    """
    return _BACKENDS[keras.config.backend()](function, tensors[:-1], tensors[-1])


def _tensorflow(function, tensors, upstream):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return value, *tape.gradient(value, tensors, output_gradients=upstream)


def _jax(function, tensors, upstream):
    import jax

    @jax.jit
    def run(tensors, upstream):
        value, pull_back = jax.vjp(function, *tensors)
        return value, *pull_back(upstream)

    return run(tensors, upstream)


def _torch(function, tensors, upstream):
    leaves = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    value = function(*leaves)
    value.backward(upstream)
    return value.detach(), *(leaf.grad for leaf in leaves)


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}


def layer_gradients(layer, inputs, upstream, variables):
    """Calls a layer in evaluation mode and differentiates sum(outputs * upstream).

    Returns the tuple (outputs, gradient of the inputs, gradients of the variables).
    """
    import numpy as np
    from keras import ops

    values = [ops.convert_to_numpy(v) for v in variables]

    def call(x, *arrays):
        with keras.StatelessScope(list(zip(variables, arrays))):
            return layer(x, training=False)

    tensors = [
        ops.convert_to_tensor(np.ascontiguousarray(a))
        for a in (inputs, *values, upstream)
    ]
    y, dx, *gradients = value_and_gradients(call, *tensors)
    return y, dx, gradients
