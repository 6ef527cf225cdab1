"""Image inputs: files, PIL images and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_involution._arguments import received


def list_of_images(images: Any) -> tuple[list[Any], list[str | int]]:
    """Splits one image, a batch or a list into single images and their names."""
    if isinstance(images, str | Path) or _is_pil(images):
        images = [images]
    elif not isinstance(images, list | tuple):
        array = _array(images)
        if array.ndim == 4:
            images = list(array)
        elif array.ndim in (2, 3):
            images = [array]
        else:
            raise ValueError(
                "An array must be one image (H, W) or (H, W, C), or a batch "
                f"(B, H, W, C). {received(shape=array.shape)}"
            )
    return list(images), [_name(image, n) for n, image in enumerate(images)]


def image_array(image: Any, channels: int | None, data_format: str) -> np.ndarray:
    """Converts an image to an array with values from 0 to 255.

    Args:
        image: Path, PIL image or array. Arrays must have the layout of `data_format`.
        channels: Integer, channels of the network's input; `None` keeps the channels of
            the image.
        data_format: `"channels_last"` or `"channels_first"`, layout of the result.

    Returns:
        Array (H, W, C), or (C, H, W) channels first.

    Raises:
        ValueError: If the file cannot be read, or the shape or the values are invalid.
    """
    first = data_format == "channels_first"
    if isinstance(image, str | Path):
        from keras_involution.data.images import read_image

        array, last = read_image(image), True
    elif _is_pil(image):
        from keras_involution.data.images import in_rgb

        array, last = np.asarray(in_rgb(image)), True
    else:
        array = _array(image)
        last = array.ndim == 2 or not first
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3:
        raise ValueError(
            f"An image must be (H, W) or (H, W, C). {received(shape=array.shape)}"
        )
    if not last:
        array = np.moveaxis(array, 0, -1)
    array = with_channels(checked_values(array), channels)
    return np.moveaxis(array, -1, 0) if first else array


def checked_values(array: np.ndarray) -> np.ndarray:
    """Returns the array; raises `ValueError` if its values are not 0 to 255."""
    if array.dtype == bool or array.dtype.kind not in "uif":
        raise ValueError(
            "An image must hold numbers from 0 to 255. "
            + received(dtype=array.dtype.name)
        )
    if array.size == 0:
        raise ValueError(f"The image is empty. {received(shape=array.shape)}")
    low, high = float(array.min()), float(array.max())
    reason = ""
    if not (np.isfinite(low) and np.isfinite(high)):
        reason = "The image holds values that are not finite"
    elif low < 0:
        reason = (
            "The image holds negative values, so it may already be preprocessed; "
            "`predict` takes preprocessed tensors"
        )
    elif high > 255:
        reason = "The image holds values above 255; scale them to 0 to 255"
    elif array.dtype.kind == "f" and 0 < high <= 1:
        reason = (
            "The image holds floating-point values from 0 to 1, and images have values "
            "from 0 to 255; multiply it by 255"
        )
    if reason:
        values = received(dtype=array.dtype.name, minimum=low, maximum=high)
        raise ValueError(f"{reason}. {values}")
    return array.astype("uint8") if array.dtype.kind in "ui" else array


def with_channels(array: np.ndarray, channels: int | None) -> np.ndarray:
    """Converts (H, W, C) between gray, RGB and RGBA to the given channels."""
    given = array.shape[-1]
    if channels in (None, given):
        return array
    if channels == 3 and given == 1:
        return np.repeat(array, 3, axis=-1)
    if channels == 3 and given == 4:
        # Blend with white, like `read_image`.
        opaque = array[..., 3:].astype("float32") / 255
        on_white = array[..., :3] * opaque + 255 * (1 - opaque)
        return on_white.round().astype(array.dtype)
    if channels == 1 and given in (3, 4):
        luminance = with_channels(array, 3) @ np.array([0.299, 0.587, 0.114])
        return luminance[..., None].round().astype(array.dtype)
    raise ValueError(
        f"The network takes images of {channels} channels. "
        + received(shape=array.shape)
    )


def _name(image: Any, number: int) -> str | int:
    if isinstance(image, str | Path):
        return str(image)
    return str(getattr(image, "filename", "") or "") or number


def _array(image: Any) -> np.ndarray:
    if isinstance(image, np.ndarray):
        return image
    if hasattr(image, "shape") and hasattr(image, "dtype"):
        return keras.ops.convert_to_numpy(image)
    raise ValueError(
        "An image must be a path, a PIL image or an array. "
        + received(image=type(image).__name__)
    )


def _is_pil(image: Any) -> bool:
    return any(base.__module__ == "PIL.Image" for base in type(image).__mro__)
