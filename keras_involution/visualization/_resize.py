"""Bilinear resizing of maps in NumPy."""

from __future__ import annotations

import numpy as np


def resize_maps(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes maps (B, G, h, w) bilinearly to (B, G, *size)."""
    for axis, length in zip((2, 3), size):
        maps = _resize_axis(maps, axis, length)
    return maps


def _resize_axis(maps: np.ndarray, axis: int, length: int) -> np.ndarray:
    last = maps.shape[axis] - 1
    places = (np.arange(length) + 0.5) * (last + 1) / length - 0.5
    places = np.clip(places, 0, last)
    below = np.floor(places).astype(int)
    fraction = (places - below).astype("float32")
    fraction = fraction.reshape([-1 if i == axis else 1 for i in range(4)])
    low = np.take(maps, below, axis)
    high = np.take(maps, np.minimum(below + 1, last), axis)
    return low * (1 - fraction) + high * fraction
