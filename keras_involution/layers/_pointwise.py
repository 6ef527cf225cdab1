"""Pointwise convolutions: a product of the channels with a matrix.

With channels last, an image in memory is a matrix of positions by channels. On PyTorch,
Keras's convolution copies the image to channels first and back; the product reads it in
place. With channels first, a product is also used on TensorFlow, which supports this
convolution on some processors only.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from keras_involution._typing import Tensor
from keras_involution.layers._int8 import Int8Kernel

_BACKEND = keras.config.backend()
if _BACKEND == "torch":
    from keras_involution.layers._torch_product import product as torch_product


class _Pointwise(Int8Kernel):
    """Replaces the computation of a Keras convolution; everything else is inherited."""

    data_format: str
    strides: tuple[int, ...]
    kernel: Tensor
    bias: Tensor
    use_bias: bool
    activation: Any

    def call(self, inputs: Tensor) -> Tensor:
        if self.use_bias and _BACKEND == "torch" and self._is_product(inputs):
            return self._product_with_bias(inputs)
        x = self.convolution_op(inputs, self.kernel)
        if self.use_bias:
            bias = ops.convert_to_tensor(self.bias, dtype=x.dtype)
            if self.data_format == "channels_first":
                bias = ops.reshape(bias, (-1, *(1,) * len(self.strides)))
            # Not `ops.add`: on TensorFlow, Keras 3.15 adds a bias along the columns if
            # there are as many columns as channels, in either data format.
            x = x + bias
        return x if self.activation is None else self.activation(x)

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        if self.data_format == "channels_first" and _BACKEND == "tensorflow":
            return self._product_of_planes(inputs, kernel)
        if not self._is_product(inputs):
            return super().convolution_op(inputs, kernel)
        rows, matrix = self.rows(inputs), ops.reshape(kernel, kernel.shape[-2:])
        if _BACKEND == "torch":
            return torch_product(rows, matrix)
        if _BACKEND == "jax" and all(isinstance(n, int) for n in rows.shape):
            # With more dimensions, XLA would transpose the upstream gradient in memory
            # to compute that of the kernel.
            x = ops.matmul(ops.reshape(rows, (-1, rows.shape[-1])), matrix)
            return ops.reshape(x, (*rows.shape[:-1], x.shape[-1]))
        return ops.matmul(rows, matrix)

    def _is_product(self, inputs: Tensor) -> bool:
        # Symbolic sizes of an exported program: JAX cannot compare the size of a slice
        # with the size of a window, and torch would allow only some sizes.
        is_open = any(not isinstance(n, int | None) for n in inputs.shape[1:-1])
        strided = max(self.strides) > 1
        return self.data_format == "channels_last" and not (strided and is_open)

    def rows(self, inputs: Tensor) -> Tensor:
        """The positions (B, Ho, Wo, C) that a channels-last product reads."""
        if max(self.strides) == 1:
            return inputs
        steps = (slice(None, None, step) for step in self.strides)
        return inputs[(slice(None), *steps)]

    def _product_with_bias(self, inputs: Tensor) -> Tensor:
        """One PyTorch operation; the bias needs no extra pass over the outputs."""
        kernel = ops.convert_to_tensor(self.kernel, dtype=inputs.dtype)
        bias = ops.convert_to_tensor(self.bias, dtype=inputs.dtype)
        matrix = kernel.reshape(kernel.shape[-2:])
        relu = self.activation is keras.activations.relu
        x = torch_product(self.rows(inputs), matrix, bias, relu)
        return x if relu or self.activation is None else self.activation(x)

    def _product_of_planes(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """Channels first: the matrix times the planes."""
        steps = (slice(None, None, step) for step in self.strides)
        inputs = inputs[(slice(None), slice(None), *steps)]
        batch, channels, *sides = ops.shape(inputs)
        planes = ops.reshape(inputs, (batch, channels, math.prod(sides)))
        matrix = ops.transpose(ops.reshape(kernel, kernel.shape[-2:]))
        shape = (batch, matrix.shape[0], *sides)
        return ops.reshape(ops.matmul(matrix, planes), shape)


@keras.saving.register_keras_serializable(package="keras_involution")
class PointwiseConv1D(_Pointwise, layers.Conv1D):
    """(B, W, C) to (B, ceil(W / strides), filters)."""


@keras.saving.register_keras_serializable(package="keras_involution")
class PointwiseConv2D(_Pointwise, layers.Conv2D):
    """(B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters)."""


@keras.saving.register_keras_serializable(package="keras_involution")
class PointwiseConv3D(_Pointwise, layers.Conv3D):
    """(B, D, H, W, C) to (B, ceil(D / strides), ..., filters)."""


_OF_RANK: dict[int, type] = {1: PointwiseConv1D, 2: PointwiseConv2D, 3: PointwiseConv3D}


def pointwise_convolution(rank: int, filters: int, **kwargs: Any) -> layers.Layer:
    """A pointwise convolution over `rank` spatial dimensions."""
    return _OF_RANK[rank](filters, 1, **kwargs)
