"""A convolution and what follows it, computed in as few passes over its map as can be.

Normalization by fixed statistics scales and shifts each channel. Where the kernel has
fewer numbers than the map, the scale is multiplied into the kernel and the shift is the
bias; where the map is the smaller one, it is scaled. Both are made of the weights in
every call, so that they are those of the moment. The sum and the ReLU of a residual
block change the map in place where nobody needs the gradients.

XLA makes as few passes of the layers themselves, so JAX has no use for this.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_involution._typing import Tensor
from keras_involution.layers._batch_normalization import scale_and_offset
from keras_involution.layers._pointwise import PointwiseConv2D

# On JAX the layers run one after the other.
HAS_NORMALIZED = keras.config.backend() in ("tensorflow", "torch")


def normalized(
    inputs: Tensor,
    norm: Any,
    convolution: Any = None,
    shortcut: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """`relu(norm(convolution(inputs)) + shortcut)` by the fixed statistics, float32.

    Args:
        inputs: Tensor (B, H, W, C).
        norm: Batch normalization of the last axis.
        convolution: Two-dimensional convolution, channels last, without bias and
            activation; `None` for the inputs themselves.
        shortcut: Tensor to add, of the shape of the outputs.
        relu: Boolean.

    Returns:
        Tensor of the shape of the layers' outputs.
    """
    scale, offset = scale_and_offset(norm)
    kernel = None
    if convolution is not None:
        kernel = ops.convert_to_tensor(convolution.kernel)
        if _is_smaller_than_map(kernel, inputs, convolution.strides):
            kernel, scale = kernel * scale, None
    run = _torch if keras.config.backend() == "torch" else _tensorflow
    return run(inputs, convolution, kernel, scale, offset, shortcut, relu)


def _is_smaller_than_map(kernel: Tensor, inputs: Tensor, strides: Any) -> bool:
    """Per filter, and for one image: TensorFlow may not know how many there are."""
    sides = tuple(inputs.shape[1:-1])
    if None in sides:
        return False
    return math.prod(sides) // math.prod(strides) > math.prod(kernel.shape[:-1])


def _torch(
    x: Any,
    convolution: Any,
    kernel: Any,
    scale: Any,
    offset: Any,
    shortcut: Any,
    relu: bool,
) -> Any:
    import torch

    is_new = convolution is not None
    if isinstance(convolution, PointwiseConv2D):
        matrix = kernel.reshape(kernel.shape[-2:]).T
        bias = offset if scale is None else None
        x = torch.nn.functional.linear(convolution.rows(x), matrix, bias)
        offset = offset if bias is None else None
    elif is_new:
        x = convolution.convolution_op(x, kernel)
    # A trace is compared with one that is made without gradients.
    in_place = not (torch.is_grad_enabled() or torch.jit.is_tracing())
    if scale is not None and not (is_new and in_place):
        x = torch.addcmul(offset, x, scale)
    elif scale is not None:
        x.mul_(scale).add_(offset)
    elif offset is not None:
        x = x.add_(offset) if in_place else x + offset
    if shortcut is not None:
        x = x.add_(shortcut) if in_place else x + shortcut
    if relu:
        x = x.relu_() if in_place else x.relu()
    return x


def _tensorflow(
    x: Any,
    convolution: Any,
    kernel: Any,
    scale: Any,
    offset: Any,
    shortcut: Any,
    relu: bool,
) -> Any:
    """In an order of operations that TensorFlow's graphs join into one kernel."""
    import tensorflow as tf

    shape = None
    if isinstance(convolution, PointwiseConv2D):
        x = convolution.rows(x)
        shape = (*(tf.shape(x)[i] for i in range(3)), kernel.shape[-1])
        x = tf.reshape(x, (-1, x.shape[-1])) @ tf.reshape(kernel, kernel.shape[-2:])
        if shortcut is not None:
            shortcut = tf.reshape(shortcut, tf.shape(x))
    elif convolution is not None:
        x = convolution.convolution_op(x, kernel)
    x = tf.nn.bias_add(x if scale is None else x * scale, offset)
    x = x if shortcut is None else x + shortcut
    x = tf.nn.relu(x) if relu else x
    return x if shape is None else tf.reshape(x, shape)
