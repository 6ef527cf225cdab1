"""Adapts a trained network to images with another number of channels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution._typing import Shape
from keras_involution.models.rednet_image_converter import RedNetImageConverter


def channels_of(image_shape: Shape, data_format: str) -> int:
    """Returns the number of channels of an image shape.

    Raises:
        ValueError: If the shape does not have three dimensions and known channels.
    """
    shape = tuple(image_shape) if isinstance(image_shape, Iterable) else ()
    channels = shape[0 if data_format == "channels_first" else -1] if shape else None
    if (
        len(shape) != 3
        or not isinstance(channels, int | np.integer)
        or any(side is not None and side < 1 for side in shape)
    ):
        raise ValueError(
            "`image_shape` must have three dimensions and a known number of channels. "
            + received(image_shape=image_shape, data_format=data_format)
        )
    return channels


def adapted_kernel(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Converts a kernel (Kh, Kw, C, F) to (Kh, Kw, channels, F).

    The sum over the input channels does not change, so gray images give the same
    outputs.
    """
    total = kernel.sum(axis=2, keepdims=True)
    if channels == kernel.shape[2]:
        return kernel
    if channels == 1:
        return total
    repeated = kernel[:, :, np.arange(channels) % kernel.shape[2]]
    surplus = (total - repeated.sum(axis=2, keepdims=True)) / channels
    return repeated + surplus


def converter_for(
    converter: RedNetImageConverter, backbone: Any
) -> RedNetImageConverter:
    """Adapts size, scale and offset of a converter to the inputs of a backbone."""
    channels = channels_of(backbone.image_shape, backbone.data_format)
    first = backbone.data_format == "channels_first"
    sides = backbone.image_shape[1:] if first else backbone.image_shape[:2]
    config = converter.get_config()
    if None not in sides:
        config["image_size"] = sides
    for name in ("scale", "offset"):
        if isinstance(config[name], list) and len(config[name]) != channels:
            config[name] = _values_of_channels(config[name], channels)
    return RedNetImageConverter.from_config(config)


def _values_of_channels(values: list[float], channels: int) -> list[float]:
    if channels == 1:
        return [sum(values) / len(values)]
    return [values[channel % len(values)] for channel in range(channels)]
