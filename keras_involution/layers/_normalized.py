"""A convolution and the operations after it, in few passes over the feature map.

Normalization by fixed statistics scales and shifts each channel. If the kernel has
fewer elements than the feature map, the scale is multiplied into the kernel and the
shift is the bias. Otherwise the feature map is scaled. Scale and shift are computed
from the weights in every call, so they are always current. The sum and the ReLU of a
residual block are computed in place if no gradients are needed.

XLA fuses the layers itself, so this is not used on JAX.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_involution._typing import Tensor
from keras_involution.layers import _centered
from keras_involution.layers._batch_normalization import scale_and_offset
from keras_involution.layers._pointwise import PointwiseConv2D

# On JAX the layers run one after another.
HAS_NORMALIZED = keras.config.backend() in ("tensorflow", "torch")
TRAINS_JOINED = keras.config.backend() == "torch"


def normalized(
    inputs: Tensor,
    norm: Any,
    convolution: Any = None,
    shortcut: Tensor | None = None,
    relu: bool = False,
    overwrite: bool = False,
) -> Tensor:
    """`relu(norm(convolution(inputs)) + shortcut)` with fixed statistics, in float32.

    Args:
        inputs: Tensor (B, H, W, C).
        norm: Batch normalization of the last axis.
        convolution: Two-dimensional convolution, channels last, without bias or
            activation; `None` normalizes the inputs themselves.
        shortcut: Tensor to add, with the shape of the outputs.
        relu: Boolean, whether to apply ReLU.
        overwrite: Boolean, whether the result may use the memory of the shortcut. With
            neither convolution nor shortcut, that of the inputs.

    Returns:
        Tensor of the shape of the layers' outputs.
    """
    scale, offset = scale_and_offset(norm)
    kernel = None
    if convolution is not None:
        kernel = ops.convert_to_tensor(convolution.kernel)
        if _is_smaller_than_map(kernel, inputs, convolution.strides):
            kernel, scale = kernel * scale, None
    rest = (inputs, convolution, kernel, scale, offset, shortcut, relu)
    if keras.config.backend() == "torch":
        return _torch(*rest, overwrite)
    return _tensorflow(*rest)


def _is_smaller_than_map(kernel: Tensor, inputs: Tensor, strides: Any) -> bool:
    """Per filter; for one image where the batch size is unknown."""
    count, *sides = inputs.shape[:-1]
    if None in sides:
        return False
    count = count if type(count) is int else 1
    positions = count * math.prod(sides) // math.prod(strides)
    return positions > math.prod(kernel.shape[:-1])


def _torch(
    x: Any,
    convolution: Any,
    kernel: Any,
    scale: Any,
    offset: Any,
    shortcut: Any,
    relu: bool,
    overwrite: bool,
) -> Any:
    import torch

    from keras_involution.layers._torch_product import product as torch_product
    from keras_involution.ops.torch import _onednn
    from keras_involution.ops.torch._private import is_transformed

    # A trace is compared with one that is made without gradients.
    in_place = not (
        torch.is_grad_enabled() or torch.jit.is_tracing() or is_transformed()
    )
    is_free = convolution is not None or (overwrite and shortcut is None)
    if (
        type(convolution) in (PointwiseConv2D, _centered.Conv2D)
        and (scale is None and in_place and (overwrite or shortcut is None))
        and _onednn.runs(x, kernel, offset, shortcut)
    ):
        sizes = convolution.strides, kernel.shape[0] // 2
        return _onednn.convolved(x, kernel, offset, *sizes, shortcut, relu)
    if isinstance(convolution, PointwiseConv2D):
        bias = offset if scale is None else None
        matrix = kernel.reshape(kernel.shape[-2:])
        x = torch_product(convolution.rows(x), matrix, bias)
        offset = offset if bias is None else None
    elif convolution is not None:
        x = convolution.convolution_op(x, kernel)
    if scale is not None:
        x = torch.addcmul(offset, x, scale, out=x if is_free and in_place else None)
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
    """In an order of operations that TensorFlow's graphs fuse into one kernel."""
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
