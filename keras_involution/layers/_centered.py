"""3x3 windows with one zero on every side, for strides of one and two.

With strides of two, Keras's `padding="same"` pads an even side at its end only. On
PyTorch, Keras also copies a channels-last image to channels first and back. Here
PyTorch reads the image in place and pads it while it computes.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from keras_involution._typing import Tensor

_IS_TORCH = keras.config.backend() == "torch"


class _Centered:
    """The padding and the config of both layers."""

    data_format: str
    _fixed: tuple[str, ...] = ()

    def _padded(self, inputs: Tensor) -> Tensor:
        widths = [(1, 1), (1, 1)]
        widths.insert(0 if self.data_format == "channels_first" else 2, (0, 0))
        return ops.pad(inputs, [(0, 0), *widths])

    def get_config(self) -> dict[str, Any]:
        # The Keras layer, which mypy does not see from here.
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        return {k: v for k, v in config.items() if k not in self._fixed}


@keras.saving.register_keras_serializable(package="keras_involution")
class Conv2D(_Centered, layers.Conv2D):
    """(B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters).

    It has the name of Keras's class, by which weights files name its variables.
    """

    _fixed = ("kernel_size", "padding")

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(filters, 3, padding="same", **kwargs)

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        if _IS_TORCH:
            return self._torch(inputs, ops.convert_to_tensor(kernel))
        if max(self.strides) == 1:
            return super().convolution_op(inputs, kernel)
        return ops.conv(
            self._padded(inputs), kernel, self.strides, "valid", self.data_format
        )

    def _torch(self, inputs: Any, kernel: Any) -> Any:
        import torch

        def convolved(x: Any) -> Any:
            weights = kernel.permute(3, 2, 0, 1)
            return torch.nn.functional.conv2d(x, weights, None, self.strides, 1)

        return by_planes(convolved, inputs, self.data_format)


@keras.saving.register_keras_serializable(package="keras_involution")
class CenteredMaxPooling2D(_Centered, layers.MaxPooling2D):
    """(B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), C), for non-negative inputs."""

    _fixed = ("pool_size", "strides", "padding")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(3, 2, "same", **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        if _IS_TORCH:
            return self._torch(inputs)
        axes = (2, 3) if self.data_format == "channels_first" else (1, 2)
        is_known = all(isinstance(inputs.shape[axis], int) for axis in axes)
        if keras.config.backend() == "jax" and is_known:
            return _maximum(_maximum(inputs, axes[0]), axes[1])
        size, strides = self.pool_size, self.strides
        return ops.max_pool(
            self._padded(inputs), size, strides, "valid", self.data_format
        )

    def _torch(self, inputs: Any) -> Any:
        import torch

        def pooled(x: Any) -> Any:
            return torch.nn.functional.max_pool2d(x, 3, 2, padding=1)

        return by_planes(pooled, inputs, self.data_format)


def _maximum(x: Tensor, axis: int) -> Tensor:
    """The maximum of every second value and its two neighbors along an axis.

    XLA fuses it and its gradient. The gradient of its own pooling is slower on CPUs.
    """

    def part(x: Tensor, *limits: int | None) -> Tensor:
        return x[(slice(None),) * axis + (slice(*limits),)]

    even, odd = part(x, 0, None, 2), part(x, 1, None, 2)
    odd = ops.pad(odd, [(1, x.shape[i] % 2) if i == axis else (0, 0) for i in range(4)])
    return ops.maximum(even, ops.maximum(part(odd, 0, -1), part(odd, 1, None)))


def by_planes(function: Any, inputs: Any, data_format: str) -> Any:
    """Applies a PyTorch function of (B, C, H, W) tensors in either data format."""
    inputs = ops.convert_to_tensor(inputs)
    if data_format == "channels_first":
        return function(inputs)
    x = inputs.permute(0, 3, 1, 2)
    return function(x).permute(0, 2, 3, 1)
