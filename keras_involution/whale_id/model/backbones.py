"""Backbones by name, for embedding networks."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from keras_involution._arguments import received
from keras_involution.layers import Involution2D
from keras_involution.models import RedNetBackbone

INVOLUTION_BASELINE = "involution_baseline"


def build_backbone(
    name: str,
    image_shape: tuple[int, int, int],
    spatial_operator: str = "involution",
    dtype: Any = None,
    **kwargs: Any,
) -> keras.Model:
    """A backbone by name, channels last.

    Args:
        name: `"rednet_26"` to `"rednet_152"` with random weights; `"rednet"` with the
            stages in `kwargs`; `"involution_baseline"`; or a preset: built-in name,
            folder or `"hf://user/name"`.
        image_shape: Tuple of 3, (H, W, 3).
        spatial_operator: `"involution"`, or `"convolution"` for the baseline.
        dtype: dtype or `keras.DTypePolicy`.
        **kwargs: Further arguments of `RedNetBackbone`.

    Returns:
        `keras.Model`.

    Raises:
        ValueError: If the backbone is unknown, or is a preset or the baseline, whose
            layers `spatial_operator` and `kwargs` cannot change.

    Example:

    >>> from keras_involution.whale_id.model import build_backbone
    >>> build_backbone("involution_baseline", (32, 32, 3)).output_shape
    (None, 64)
    """
    common = {"image_shape": image_shape, "data_format": "channels_last"}
    built = {**kwargs, **common, "spatial_operator": spatial_operator, "dtype": dtype}
    family, _, depth = name.partition("_")
    if family == "rednet" and depth.isdigit():
        return RedNetBackbone.from_depth(int(depth), **built)
    if name == "rednet":
        return RedNetBackbone(**built)
    if kwargs or spatial_operator != "involution":
        raise ValueError(
            "These settings describe a network that is trained from scratch, such as "
            "`rednet_26`; this backbone has its own layers. "
            + received(backbone=name, spatial_operator=spatial_operator, **kwargs)
        )
    if name == INVOLUTION_BASELINE:
        return involution_baseline(image_shape, dtype=dtype)
    return RedNetBackbone.from_preset(name, image_shape=image_shape, dtype=dtype)


def involution_baseline(
    image_shape: tuple[int, int, int], dtype: Any = None
) -> keras.Model:
    """Three involutions of three channels and one dense layer, as a lower bound.

    Args:
        image_shape: Tuple of 3, (H, W, 3).
        dtype: dtype or `keras.DTypePolicy`.

    Returns:
        `keras.Model`, (B, H, W, 3) to (B, 64).
    """
    common = {"data_format": "channels_last", "dtype": dtype}
    x = inputs = keras.Input(image_shape, name="images")
    for number in range(3):
        name = f"involution_{number + 1}"
        x = Involution2D(3, reduction_ratio=2, name=name, **common)(x)
        x = layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)
        if number < 2:
            x = layers.MaxPooling2D(name=f"{name}_pool", **common)(x)
    x = layers.Flatten(name="flatten", **common)(x)
    x = layers.Dense(64, activation="relu", name="dense", dtype=dtype)(x)
    return keras.Model(inputs, x, name=INVOLUTION_BASELINE)
