"""Features without training, as baselines for trained ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

SIDE = 64
Seeds = Sequence[int]


def random_features(table: pd.DataFrame) -> np.ndarray:
    """Returns random features (N, 128)."""
    shape = (len(table), 128)
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def pixels(table: pd.DataFrame) -> np.ndarray:
    """Returns gray pixels minus their mean (N, 4096)."""
    gray = _gray(table).reshape(len(table), -1)
    return gray - gray.mean(axis=1, keepdims=True)


def oriented_gradients(table: pd.DataFrame) -> np.ndarray:
    """Returns normalized histograms of 9 orientations in 8 x 8 cells (N, 576)."""
    gray = _gray(table)
    down, right = np.gradient(gray, axis=(1, 2))
    strength = np.hypot(down, right)
    orientation = (np.arctan2(down, right) % np.pi) / np.pi * 9
    low = np.floor(orientation).astype(int)
    fraction = orientation - low
    bins = np.zeros((9, *gray.shape), "float32")
    for number in range(9):
        here = (low % 9 == number) * (1 - fraction) + (
            (low + 1) % 9 == number
        ) * fraction
        bins[number] = here * strength
    cells = bins.reshape(9, len(table), 8, SIDE // 8, 8, SIDE // 8).sum(axis=(3, 5))
    cells = np.sqrt(cells / (np.linalg.norm(cells, axis=0) + 1e-3))
    return np.moveaxis(cells, 0, -1).reshape(len(table), -1)


def frozen(
    table: pd.DataFrame, preset: str, depth: int, side: int, seeds: Seeds
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields pooled features (N, 2048) of the preset and of random networks."""
    from benchmarks._measure import probes, starts
    from keras_involution.data.images import read_image

    images = np.stack([read_image(p, (side, side)) for p in table["path"]])
    for start in starts.STARTS:
        for seed in seeds if start != "preset" else seeds[:1]:
            model = starts.build(start, preset, depth, side, ["any"], seed)
            name = "preset, frozen" if start == "preset" else f"{start}, frozen, {seed}"
            yield name, probes.features(model, images)


def _gray(table: pd.DataFrame) -> np.ndarray:
    from keras_involution.data.images import read_image

    weights = np.array([0.299, 0.587, 0.114], "float32")
    size = (SIDE, SIDE)
    return np.stack([read_image(p, size) @ weights for p in table["path"]])


FLOORS: dict[str, Callable[[pd.DataFrame], np.ndarray]] = {
    "random": random_features,
    "pixels": pixels,
    "oriented gradients": oriented_gradients,
}
