"""Kernel heat maps at the size of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_involution._arguments import received
from keras_involution.visualization.kernel_heatmaps import kernel_heatmaps

# Top, left, height and width in pixels of the image.
Region = tuple[float, float, float, float]


def image_heatmaps(
    model: Any,
    image: Any,
    layers: str | Sequence[str] | None = None,
    aggregate: str | None = None,
) -> dict[str, np.ndarray]:
    """Computes `kernel_heatmaps` for an image, at the size of the image.

    The image is preprocessed as in `model.classify`. The maps are NaN where
    preprocessing crops the image; `overlay` draws nothing there.

    Args:
        model: Model with involutions and a `preprocessor`, such as
            `RedNetImageClassifier`.
        image: Array (H, W, 3), values 0 to 255.
        layers: As in `kernel_heatmaps`.
        aggregate: As in `kernel_heatmaps`.

    Returns:
        Dictionary from the name of each layer to a float32 array of shape (G, H, W), or
        (H, W) with `aggregate="mean"`.

    Raises:
        ValueError: If `image` has the wrong shape, the model has no preprocessor, or
            `kernel_heatmaps` raises.

    Example:

    >>> import numpy as np
    >>> from keras_involution import RedNet26, visualization
    >>> model = RedNet26(num_classes=2, image_shape=(64, 64, 3),
    ...                  data_format="channels_last")
    >>> image = np.zeros((50, 80, 3), "uint8")
    >>> maps = visualization.image_heatmaps(model, image, aggregate="mean")
    >>> maps["stack0_block0_2_involution"].shape
    (50, 80)
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"`image` must be (H, W, 3). {received(shape=image.shape)}")
    converter = getattr(model, "preprocessor", None)
    if converter is None:
        raise ValueError(
            "The model must have a `preprocessor`; `kernel_heatmaps` takes prepared "
            f"images. {received(model=type(model).__name__)}"
        )
    first = converter.data_format == "channels_first"
    inputs = np.moveaxis(image, -1, 0) if first else image
    prepared = keras.ops.convert_to_numpy(converter(inputs[None]))
    maps = kernel_heatmaps(model, prepared, layers, aggregate, resize=False)
    height, width = image.shape[:2]
    region = seen_region(converter, height, width)
    return {n: _placed(m[0], region, (height, width)) for n, m in maps.items()}


def seen_region(converter: Any, height: int, width: int) -> Region:
    """Returns the region of an image that a converter resizes to its image size.

    With padding, the region is larger than the image.
    """
    if converter.image_size is None:
        return 0, 0, height, width
    rows, columns = converter.image_size
    fitting = int(width * rows / columns), int(height * columns / rows)
    if converter.crop_to_aspect_ratio:
        inner = min(height, max(1, fitting[0])), min(width, max(1, fitting[1]))
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        return top, left, *inner
    if converter.pad_to_aspect_ratio:
        outer = max(height, fitting[0]), max(width, fitting[1])
        top, left = -((outer[0] - height) // 2), -((outer[1] - width) // 2)
        return top, left, *outer
    return 0, 0, height, width


def _placed(maps: np.ndarray, region: Region, size: tuple[int, int]) -> np.ndarray:
    """Resizes maps (..., h, w) to a region of (..., *size); NaN outside of it."""
    for axis, start, length, pixels in (
        (-2, region[0], region[2], size[0]),
        (-1, region[1], region[3], size[1]),
    ):
        maps = _stretched(maps, axis, start, length, pixels)
    return maps


def _stretched(
    maps: np.ndarray, axis: int, start: float, length: float, pixels: int
) -> np.ndarray:
    count = maps.shape[axis]
    inside = (np.arange(pixels) + 0.5 - start) / length
    places = np.clip(inside * count - 0.5, 0, count - 1)
    below = np.floor(places).astype(int)
    fraction = (places - below).astype("float32")
    fraction[(inside < 0) | (inside > 1)] = np.nan
    fraction = fraction if axis == -1 else fraction[:, None]
    low = np.take(maps, below, axis)
    high = np.take(maps, np.minimum(below + 1, count - 1), axis)
    return low * (1 - fraction) + high * fraction
