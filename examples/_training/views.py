"""Random views of many small pictures at once, as two products of matrices."""

from __future__ import annotations

import numpy as np


def random_views(
    images: np.ndarray,
    size: int,
    random: np.random.Generator,
    area: tuple[float, float] = (0.35, 1.0),
    ratio: float = 4 / 3,
) -> np.ndarray:
    """A random part of every picture, resized to a square, mirrored half of the time.

    Args:
        images: Bytes (B, H, W, 3).
        size: Integer, sides of the views.
        random: Generator.
        area: Tuple of 2 floats, the smallest and the largest share of the picture.
        ratio: Float, largest ratio of the part's sides.

    Returns:
        float32 array (B, size, size, 3), values 0 to 255.
    """
    count, height, width = images.shape[:3]
    shares = random.uniform(*area, count)
    stretch = np.exp(random.uniform(-np.log(ratio), np.log(ratio), count))
    across = np.minimum(np.sqrt(shares * stretch), 1) * width
    down = np.minimum(np.sqrt(shares / stretch), 1) * height
    left = random.uniform(0, 1, count) * (width - across)
    top = random.uniform(0, 1, count) * (height - down)
    rows = resizing_weights(top, down, height, size)
    columns = resizing_weights(left, across, width, size)
    mirrored = random.uniform(0, 1, count) < 0.5
    columns[mirrored] = columns[mirrored, ::-1]
    return apply_weights(images, rows, columns)


def whole_views(images: np.ndarray, size: int) -> np.ndarray:
    """Every picture as a whole, resized to a square: float32 (B, size, size, 3)."""
    count, height, width = images.shape[:3]
    if (height, width) == (size, size):
        return images.astype("float32")
    zeros, ones = np.zeros(count), np.ones(count)
    rows = resizing_weights(zeros, height * ones, height, size)
    columns = resizing_weights(zeros, width * ones, width, size)
    return apply_weights(images, rows, columns)


def resizing_weights(
    start: np.ndarray, length: np.ndarray, pixels: int, size: int
) -> np.ndarray:
    """The matrices that resize the stretch from `start` bilinearly, antialiased.

    Args:
        start: Where the stretch begins in each picture, in pixels (B,).
        length: Its length (B,).
        pixels: Integer, pixels of the pictures along this side.
        size: Integer, pixels of the views along it.

    Returns:
        float32 array (B, size, pixels) whose rows sum to 1.
    """
    scale = (length / size)[:, None, None]
    middles = start[:, None, None] + (np.arange(size)[:, None] + 0.5) * scale
    distance = np.abs(np.arange(pixels) + 0.5 - middles)
    weights = np.maximum(1 - distance / np.maximum(scale, 1), 0).astype("float32")
    return weights / weights.sum(-1, keepdims=True)


def apply_weights(
    images: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """(B, H, W, 3), (B, h, H) and (B, w, W) to (B, h, w, 3)."""
    count, height, width, channels = images.shape
    flat = images.reshape(count, height, width * channels).astype("float32")
    x = (rows @ flat).reshape(count, -1, width, channels)
    return columns[:, None] @ x
