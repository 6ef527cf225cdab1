"""MixUp and CutMix of whole batches.

The layers of Keras are not used: MixUp warns of 64-bit numbers on JAX, and CutMix takes
the area of a cut before it is rounded to pixels.
"""

from __future__ import annotations

import numpy as np

Batch = tuple[np.ndarray, np.ndarray]


def mix_up(
    images: np.ndarray, labels: np.ndarray, alpha: float, random: np.random.Generator
) -> Batch:
    """Blends every image and its label with another, by weights of a beta."""
    order = random.permutation(len(images))
    weight = random.beta(alpha, alpha, len(images)).astype("float32")
    pixels, weight = weight[:, None, None, None], weight[:, None]
    return (
        pixels * images + (1 - pixels) * images[order],
        weight * labels + (1 - weight) * labels[order],
    )


def cut_mix(
    images: np.ndarray, labels: np.ndarray, alpha: float, random: np.random.Generator
) -> Batch:
    """Replaces a rectangle of every image by one of another image.

    Labels are weighted by the area of the rectangle in whole pixels.
    """
    count, height, width = images.shape[:3]
    order = random.permutation(count)
    side = np.sqrt(random.beta(alpha, alpha, count))
    rows = _interval(height, side, random)
    columns = _interval(width, side, random)
    cut = rows[:, :, None] & columns[:, None, :]
    area = cut.mean((1, 2), dtype="float32")[:, None]
    return (
        np.where(cut[..., None], images[order], images),
        (1 - area) * labels + area * labels[order],
    )


def _interval(
    length: int, fraction: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Which pixels lie in a random interval of a fraction of them: (B, length)."""
    pixels = np.rint(fraction * length).astype("int64")
    start = np.floor(random.uniform(0, 1, len(fraction)) * (length - pixels + 1))
    places = np.arange(length) - start[:, None]
    return (places >= 0) & (places < pixels[:, None])
