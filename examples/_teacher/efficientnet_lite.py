"""EfficientNet-Lite for inference, with batch normalization folded.

Reference: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", 2019. Lite omits squeeze-and-excitation, uses ReLU6 instead of swish, and
scales neither stem and head nor the repeats of the first and the last stage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras

from keras_involution._typing import Tensor


class Stage(NamedTuple):
    """Settings of a stage before scaling; only its first block has the strides."""

    repeats: int
    kernel_size: int
    strides: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def build_efficientnet_lite(
    width: float,
    depth: float,
    *,
    stages: Sequence[Stage] = STAGES,
    stem_filters: int = 32,
    head_filters: int = 1280,
    num_classes: int = 1000,
    dtype: str = "float32",
) -> keras.Model:
    """Builds a network whose layers have the names of the published modules.

    Args:
        width: Float, multiplier of the filters of the stages.
        depth: Float, multiplier of the repeats of the stages.
        stages: Sequence of `Stage`.
        stem_filters: Integer.
        head_filters: Integer.
        num_classes: Integer.
        dtype: Name of the dtype of all layers except the logits, which are float32.

    Returns:
        `keras.Model` that takes images (B, H, W, 3), scaled as `(pixels - 127) / 128`,
        and returns logits (B, num_classes).
    """
    # === Stem ===
    images = keras.Input((None, None, 3), dtype=dtype)
    x = _convolution(images, stem_filters, 3, 2, "conv_stem", dtype)

    # === Blocks ===
    number = 0
    for place, stage in enumerate(stages):
        fixed = place in (0, len(stages) - 1)
        repeats = stage.repeats if fixed else math.ceil(depth * stage.repeats)
        filters = scaled_filters(stage.filters, width)
        for repeat in range(repeats):
            strides = stage.strides if repeat == 0 else 1
            x = _apply_block(x, stage, filters, strides, f"blocks_{number}", dtype)
            number += 1

    # === Head ===
    x = _convolution(x, head_filters, 1, 1, "conv_head", dtype)
    x = keras.layers.GlobalAveragePooling2D(
        data_format="channels_last", dtype=dtype, name="pool"
    )(x)
    x = keras.layers.Dense(num_classes, dtype="float32", name="fc")(x)
    return keras.Model(images, x, name="efficientnet_lite")


def scaled_filters(filters: int, width: float) -> int:
    """Returns the nearest multiple of 8, but at least 0.9 of the scaled number."""
    asked = filters * width
    nearest = max(8, int(asked + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * asked else nearest


def _apply_block(
    x: Tensor, stage: Stage, filters: int, strides: int, name: str, dtype: str
) -> Tensor:
    """Applies an inverted bottleneck, with a residual connection if shapes match."""
    given, channels = x, x.shape[-1]
    if stage.expansion != 1:
        x = _convolution(
            x, stage.expansion * channels, 1, 1, f"{name}_expand_conv", dtype
        )
    x = keras.layers.DepthwiseConv2D(
        stage.kernel_size,
        strides,
        "same",
        data_format="channels_last",
        activation="relu6",
        dtype=dtype,
        name=f"{name}_depthwise_conv",
    )(x)
    x = _convolution(x, filters, 1, 1, f"{name}_project_conv", dtype, activation=None)
    if strides == 1 and filters == channels:
        x = keras.layers.Add(dtype=dtype, name=f"{name}_add")([x, given])
    return x


def _convolution(
    x: Tensor,
    filters: int,
    kernel_size: int,
    strides: int,
    name: str,
    dtype: str,
    activation: str | None = "relu6",
) -> Tensor:
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides,
        "same",
        data_format="channels_last",
        activation=activation,
        dtype=dtype,
        name=name,
    )(x)
