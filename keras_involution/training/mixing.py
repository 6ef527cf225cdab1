"""MixUp and CutMix on batches, in NumPy.

The layers of Keras are not used: `MixUp` warns about 64-bit numbers on JAX, and
`CutMix` weights the labels by an area that is not rounded to pixels.
"""

from __future__ import annotations

import numpy as np

Batch = tuple[np.ndarray, np.ndarray]


def mix_up(
    images: np.ndarray, labels: np.ndarray, alpha: float, random: np.random.Generator
) -> Batch:
    """Blends every image and its label with another, weighted by a beta distribution.

    Args:
        images: float32 array (B, H, W, 3).
        labels: float32 array (B, classes).
        alpha: Float, parameter of the beta distribution.
        random: NumPy generator.

    Returns:
        Images and labels with the same shapes.
    """
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
    """Replaces a rectangle of every image by the same rectangle of another image.

    The labels are weighted by the area of the rectangle in whole pixels. Arguments and
    results are those of `mix_up`.
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
    """Returns a mask (B, length) of a random interval with this fraction of pixels."""
    pixels = np.rint(fraction * length).astype("int64")
    start = np.floor(random.uniform(0, 1, len(fraction)) * (length - pixels + 1))
    places = np.arange(length) - start[:, None]
    return (places >= 0) & (places < pixels[:, None])
