"""The building blocks of a RedNet: stem, bottleneck and their layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from keras_involution.layers import Involution2D, _centered
from keras_involution.layers._batch_normalization import BatchNormalization
from keras_involution.layers._initializer import PublishedInitializer
from keras_involution.layers._int8 import float_policy
from keras_involution.layers._pointwise import pointwise_convolution
from keras_involution.models.residual_add import StochasticDepthAdd

SPATIAL_OPERATORS = ("involution", "convolution")


@dataclass(frozen=True)
class BlockSettings:
    """Settings shared by all blocks of a network."""

    spatial_operator: str
    kernel_size: int
    group_channels: int
    reduction_ratio: int
    data_format: str
    pointwise_dtype: Any

    @property
    def dtype(self) -> Any:
        """The dtype of all layers except 1x1 convolutions, which may be quantized."""
        return float_policy(self.pointwise_dtype)

    @property
    def common(self) -> dict[str, Any]:
        return {"data_format": self.data_format, "dtype": self.dtype}

    @property
    def channel_axis(self) -> int:
        return 1 if self.data_format == "channels_first" else -1


def apply_stem(
    x: keras.KerasTensor, filters: int, kernel_size: int, settings: BlockSettings
) -> keras.KerasTensor:
    """Applies the stem: (B, H, W, 3) to (B, ceil(H / 4), ceil(W / 4), filters)."""
    x = apply_padded_convolution(x, filters // 2, 2, "stem_1_conv", settings)
    x = apply_norm(x, "stem_1", settings)
    x = apply_spatial_operator(x, 1, kernel_size, "stem_2", settings)
    x = apply_norm(x, "stem_2", settings)
    x = apply_padded_convolution(x, filters, 1, "stem_3_conv", settings)
    x = apply_norm(x, "stem_3", settings)
    return _centered.CenteredMaxPooling2D(name="stem_pool", **settings.common)(x)


def apply_bottleneck(
    x: keras.KerasTensor,
    filters: int,
    strides: int,
    project: bool,
    name: str,
    settings: BlockSettings,
    drop_rate: float = 0.0,
) -> keras.KerasTensor:
    """Applies a bottleneck block.

    It converts (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), 4 * filters).
    """
    shortcut = x
    if project:
        shortcut = apply_pointwise(x, 4 * filters, strides, f"{name}_0_conv", settings)
        shortcut = apply_norm(shortcut, f"{name}_0", settings, activation=False)
    x = apply_pointwise(x, filters, 1, f"{name}_1_conv", settings)
    x = apply_norm(x, f"{name}_1", settings)
    x = apply_spatial_operator(x, strides, settings.kernel_size, f"{name}_2", settings)
    x = apply_norm(x, f"{name}_2", settings)
    x = apply_pointwise(x, 4 * filters, 1, f"{name}_3_conv", settings)
    # With a scale of zero, every block starts as the identity.
    x = apply_norm(x, f"{name}_3", settings, activation=False, scale="zeros")
    x = apply_sum(shortcut, x, drop_rate, f"{name}_add", settings)
    return layers.ReLU(name=f"{name}_out", dtype=settings.dtype)(x)


def apply_sum(
    shortcut: keras.KerasTensor,
    branch: keras.KerasTensor,
    drop_rate: float,
    name: str,
    settings: BlockSettings,
) -> keras.KerasTensor:
    if not drop_rate:
        return layers.Add(name=name, dtype=settings.dtype)([shortcut, branch])
    add = StochasticDepthAdd(drop_rate, name=name, dtype=settings.dtype)
    return add([shortcut, branch])


def apply_spatial_operator(
    x: keras.KerasTensor,
    strides: int,
    kernel_size: int,
    name: str,
    settings: BlockSettings,
) -> keras.KerasTensor:
    """Applies the involution, or the 3x3 convolution of the ResNet baseline."""
    channels = x.shape[settings.channel_axis]
    if settings.spatial_operator == "convolution":
        return apply_padded_convolution(x, channels, strides, f"{name}_conv", settings)
    return Involution2D(
        kernel_size=kernel_size,
        groups=channels // settings.group_channels,
        strides=strides,
        reduction_ratio=settings.reduction_ratio,
        data_format=settings.data_format,
        dtype=settings.pointwise_dtype,
        name=f"{name}_involution",
    )(x)


def apply_padded_convolution(
    x: keras.KerasTensor, filters: int, strides: int, name: str, settings: BlockSettings
) -> keras.KerasTensor:
    """Applies a 3x3 convolution with a padding of 1 on every side."""
    return _centered.Conv2D(
        filters,
        strides=strides,
        use_bias=False,
        kernel_initializer=PublishedInitializer(),
        name=name,
        **settings.common,
    )(x)


def apply_pointwise(
    x: keras.KerasTensor, filters: int, strides: int, name: str, settings: BlockSettings
) -> keras.KerasTensor:
    return pointwise_convolution(
        2,
        filters,
        strides=strides,
        use_bias=False,
        kernel_initializer=PublishedInitializer(),
        data_format=settings.data_format,
        dtype=settings.pointwise_dtype,
        name=name,
    )(x)


def apply_norm(
    x: keras.KerasTensor,
    name: str,
    settings: BlockSettings,
    activation: bool = True,
    scale: str = "ones",
) -> keras.KerasTensor:
    """Applies batch normalization and, unless disabled, a ReLU."""
    x = BatchNormalization(
        axis=settings.channel_axis,
        momentum=0.9,
        epsilon=1e-5,
        gamma_initializer=scale,
        dtype=settings.dtype,
        name=f"{name}_bn",
    )(x)
    if not activation:
        return x
    return layers.ReLU(name=f"{name}_relu", dtype=settings.dtype)(x)
