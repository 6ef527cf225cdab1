"""Heat maps in color over images."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution.visualization._resize import resize_maps

# The lightness increases monotonically, so the scale also works in gray and for
# color-blind readers.
COLORS = np.array(
    [
        (0, 0, 4),
        (31, 12, 72),
        (85, 15, 109),
        (136, 34, 106),
        (186, 54, 85),
        (227, 89, 51),
        (249, 140, 10),
        (249, 201, 50),
        (252, 255, 164),
    ],
    "float32",
)


def overlay(
    images: Any,
    heatmaps: Any,
    opacity: float = 0.6,
    limits: tuple[float, float] | None = None,
) -> np.ndarray:
    """Draws heat maps in color over images.

    The colors range from dark violet (lowest) through red and orange to light yellow
    (highest). Maps are resized bilinearly to the size of the images. Where a map is
    NaN, the image does not change.

    Args:
        images: Array (B, H, W, 3) or (H, W, 3), values 0 to 255.
        heatmaps: Array (B, h, w) or (h, w), as from `kernel_heatmaps` with
            `aggregate="mean"`, or one group of it.
        opacity: Float; 0 shows only the image, 1 only the colors.
        limits: Tuple of 2 floats, the values of the lowest and the highest color;
            `None` uses the smallest and the largest value of each map.

    Returns:
        uint8 array with the shape of `images`.

    Raises:
        ValueError: If the shapes do not fit, `opacity` is not between 0 and 1, or the
            limits are not in ascending order.

    Example:

    >>> import numpy as np
    >>> from keras_involution import visualization
    >>> images = np.zeros((2, 6, 8, 3), "uint8")
    >>> heatmaps = np.linspace(-1, 1, 2 * 3 * 4).reshape(2, 3, 4)
    >>> mixed = visualization.overlay(images, heatmaps)
    >>> mixed.shape, mixed.dtype
    ((2, 6, 8, 3), dtype('uint8'))
    """
    images = np.asarray(images, "float32")
    maps = np.asarray(heatmaps, "float32")
    _check_overlay(images, maps, opacity, limits)
    if images.ndim == 3:
        return overlay(images[None], maps[None], opacity, limits)[0]
    size = images.shape[1:3]
    maps = maps if maps.shape[1:] == size else resize_maps(maps[:, None], size)[:, 0]
    colors = _colorize(maps, limits)
    mixed = (1 - opacity) * images + opacity * colors
    mixed = np.where(np.isnan(maps)[..., None], images, mixed)
    return np.clip(np.rint(mixed), 0, 255).astype("uint8")


def _colorize(maps: np.ndarray, limits: tuple[float, float] | None) -> np.ndarray:
    """Converts maps (B, H, W) to colors (B, H, W, 3) with values from 0 to 255."""
    low, high = limits or (
        np.nanmin(maps, axis=(1, 2), keepdims=True),
        np.nanmax(maps, axis=(1, 2), keepdims=True),
    )
    span = np.maximum(np.subtract(high, low), np.finfo("float32").tiny)
    place = np.nan_to_num(np.clip((maps - low) / span, 0, 1)) * (len(COLORS) - 1)
    channels = [np.interp(place, np.arange(len(COLORS)), c) for c in COLORS.T]
    return np.stack(channels, axis=-1).astype("float32")


def _check_overlay(
    images: np.ndarray,
    heatmaps: np.ndarray,
    opacity: float,
    limits: tuple[float, float] | None,
) -> None:
    shapes = received(images=images.shape, heatmaps=heatmaps.shape)
    if images.ndim not in (3, 4) or images.shape[-1] != 3:
        raise ValueError(f"`images` must be (B, H, W, 3) or (H, W, 3). {shapes}")
    if heatmaps.ndim != images.ndim - 1 or (
        images.ndim == 4 and len(images) != len(heatmaps)
    ):
        raise ValueError(f"`heatmaps` must hold one map for each image. {shapes}")
    if not 0 <= opacity <= 1:
        raise ValueError(
            f"`opacity` must be between 0 and 1. {received(opacity=opacity)}"
        )
    if limits is not None and not limits[0] < limits[1]:
        raise ValueError(
            f"`limits` must be in ascending order. {received(limits=limits)}"
        )
