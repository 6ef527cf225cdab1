"""A stack of involutions for the heads of detectors."""

from __future__ import annotations

from typing import Any

import keras

from keras_involution import _arguments, _strict
from keras_involution._typing import Shape, Tensor
from keras_involution.layers import Involution2D
from keras_involution.layers._int8 import HoldsPointwise


@keras.saving.register_keras_serializable(package="keras_involution")
class InvolutionTower(HoldsPointwise):
    """A stack of involutions, each followed by a ReLU, for the heads of detectors.

    It replaces the stack of 3x3 convolutions in a head: one involution in the published
    region proposal head, four in the published mask head. Add the prediction layer
    after it. The number of channels does not change, and the same tower works on every
    level of a pyramid. The published recipes for these heads use a warm-up of 2,000
    steps and clip gradients to a norm of 5.

    Args:
        depth: Integer, number of involutions.
        kernel_size: Odd integer or tuple of 2, the window.
        group_channels: Integer, channels that share a kernel; must divide the channels.
        reduction_ratio: Integer, reduction of the channels in the branch that generates
            the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` uses the global
            setting of Keras.
        kernel_initializer: Initializer of the involutions.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Call arguments:
        inputs: Floating-point tensor.
        training: Boolean, whether batch normalization uses the statistics of the batch.

    Input shape:
        (B, H, W, C), or (B, C, H, W) channels first. Any H and W.

    Output shape:
        The shape of the inputs.

    Returns:
        Tensor of non-negative values.

    Raises:
        ValueError: If a size is not a positive integer, the window is even, or
            `group_channels` does not divide the channels.

    Example:

    >>> import numpy as np
    >>> from keras_involution.models import InvolutionTower
    >>> tower = InvolutionTower(depth=2, data_format="channels_last")
    >>> tuple(tower(np.ones((1, 6, 8, 32), "float32")).shape)
    (1, 6, 8, 32)

    Reference:
        Li et al., "Involution: Inverting the Inherence of Convolution for Visual
        Recognition", CVPR 2021, https://arxiv.org/abs/2103.06255
    """

    def __init__(
        self,
        depth: int = 1,
        kernel_size: int | tuple[int, int] = 7,
        group_channels: int = 16,
        reduction_ratio: int = 4,
        data_format: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        _strict.check_constructor(self, kwargs)
        super().__init__(**kwargs)
        self.depth = _arguments.positive_integer(depth, "depth")
        self.kernel_size = _arguments.odd_window(kernel_size, 2)
        self.group_channels = _arguments.positive_integer(
            group_channels, "group_channels"
        )
        self.reduction_ratio = _arguments.positive_integer(
            reduction_ratio, "reduction_ratio"
        )
        self.data_format = _arguments.standard_data_format(data_format)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[1 if self.data_format == "channels_first" else -1]
        if channels is None:
            raise ValueError(
                "The number of channels of the inputs must be known. "
                + _arguments.received(input_shape=tuple(input_shape))
            )
        groups = _arguments.divisible(
            channels, self.group_channels, "channels", "group_channels"
        )
        self.involutions = [
            Involution2D(
                self.kernel_size,
                groups=groups,
                reduction_ratio=self.reduction_ratio,
                data_format=self.data_format,
                kernel_initializer=self.kernel_initializer,
                dtype=self.pointwise_dtype,
                name=f"involution_{index}",
            )
            for index in range(self.depth)
        ]
        for involution in self.involutions:
            involution.build(input_shape)
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = inputs
        for involution in self.involutions:
            x = keras.ops.relu(involution(x, training=training))
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return super().get_config() | {
            "depth": self.depth,
            "kernel_size": self.kernel_size,
            "group_channels": self.group_channels,
            "reduction_ratio": self.reduction_ratio,
            "data_format": self.data_format,
            "kernel_initializer": initializer,
        }
