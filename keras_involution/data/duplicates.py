"""Finds duplicate images, even if they were resized or compressed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SAME = 5.0
"""Largest difference in gray levels between thumbnails of the same image."""
_OF_CONTRAST = 0.25
_CELLS = 8
SIZE = 3 * _CELLS**2
"""Number of values of a thumbnail."""
_BLOCK = 512


def find_duplicates(
    images: np.ndarray, rows: np.ndarray, held_out_rows: np.ndarray
) -> np.ndarray:
    """Finds training images that are copies of held-out images.

    Images are compared as thumbnails of 8 x 8 pixels by their root mean squared
    difference, so copies are found even if they were resized or compressed. In
    Tiny-ImageNet, 7 validation images have a duplicate among the training images; they
    differ by 2.4 to 3.4 gray levels. The closest pairs of different images differ by
    7.5.

    Args:
        images: uint8 array (N, H, W, 3), sides of at least 8.
        rows: Row numbers of the training images (M,).
        held_out_rows: Row numbers of the held-out images (K,).

    Returns:
        Boolean array (M,), true for the duplicates.
    """
    found = np.zeros(len(rows), bool)
    held_out = thumbnails(images, held_out_rows)
    for _, duplicates in alike(held_out, thumbnails(images, rows)):
        found[duplicates] = True
    return found


def thumbnails(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Averages images over 8 x 8 cells.

    If a side is not a multiple of 8, its last pixels are ignored.

    Args:
        images: uint8 array (N, H, W, 3), sides of at least 8.
        rows: Row numbers (M,).

    Returns:
        float32 array (M, 192).
    """
    height, width = (side // _CELLS for side in images.shape[1:3])
    found = np.zeros((len(rows), SIZE), "float32")
    for start in range(0, len(rows), 1000):
        block = images[rows[start : start + 1000], : 8 * height, : 8 * width]
        cells = block.reshape(-1, _CELLS, height, _CELLS, width, 3)
        means = cells.mean((2, 4), dtype="float32")
        found[start : start + 1000] = means.reshape(len(block), -1)
    return found


def alike(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Compares thumbnails (M, 192) with thumbnails (N, 192).

    Thumbnails of the same image differ by less than 5 gray levels, and by at most a
    quarter of their contrast: different photos of only sea or sky differ little, too.

    Yields:
        Each row number of `first`, with the row numbers of the same image in `second`.
    """
    lengths, contrasts = (second**2).sum(-1), second.std(-1)
    for start in range(0, len(first), _BLOCK):
        some = first[start : start + _BLOCK]
        squares = lengths - 2 * some @ second.T + (some**2).sum(-1)[:, None]
        for row, image in enumerate(some):
            near = np.flatnonzero(squares[row] < SIZE * SAME**2)
            # `squares` has rounding errors, so the candidates are compared exactly.
            distances = np.sqrt(((image - second[near]) ** 2).mean(-1))
            limits = _OF_CONTRAST * np.minimum(image.std(), contrasts[near])
            yield start + row, near[(distances < SAME) & (distances <= limits)]
