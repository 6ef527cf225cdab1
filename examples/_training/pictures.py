"""Pictures as one array, and which of them show the same."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_involution._files import replaced_file

SAME = 5.0
"""Grey levels by which thumbnails of one picture differ at most."""


class Pictures(NamedTuple):
    """Bytes (N, H, W, 3) and class numbers (N,)."""

    images: np.ndarray
    labels: np.ndarray


def rows_without_copies(
    images: np.ndarray, rows: np.ndarray, held_out_rows: np.ndarray, cache: Path
) -> np.ndarray:
    """Those of `rows` that are no `copies`.

    Args:
        images: Bytes (N, H, W, 3).
        rows: Row numbers of the training.
        held_out_rows: Row numbers of the pictures held out.
        cache: Folder for `train-rows.npy`, which is read if it is there.

    Returns:
        Integer array, a part of `rows`.
    """
    path = cache / "train-rows.npy"
    if not path.exists():
        write_array(path, rows[~copies(images, rows, held_out_rows)])
    return np.load(path)


def copies(
    images: np.ndarray, rows: np.ndarray, held_out_rows: np.ndarray
) -> np.ndarray:
    """Which of `rows` show a picture that is held out, however compressed.

    Pictures are compared as thumbnails of 8 x 8 pixels, by the root of their mean
    squared difference. Of Tiny-ImageNet, 7 validation pictures have a copy among the
    training pictures, at 2.4 to 3.4 grey levels in two compressions; the next pairs,
    of different pictures, begin at 7.5.

    Args:
        images: Bytes (N, H, W, 3), sides of 8 at least.
        rows: Row numbers (M,).
        held_out_rows: Row numbers.

    Returns:
        Booleans (M,).
    """
    every, other = thumbnails(images, rows), thumbnails(images, held_out_rows)
    found = np.zeros(len(rows), bool)
    lengths = (every**2).sum(-1)
    for start in range(0, len(other), 500):
        some = other[start : start + 500]
        squares = lengths - 2 * some @ every.T + (some**2).sum(-1)[:, None]
        found |= (squares < every.shape[1] * SAME**2).any(0)
    return found


def thumbnails(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Means of 8 x 8 equal fields: bytes (N, H, W, 3) to float32 (rows, 192).

    The last pixels of sides that are no multiples of 8 are left out.
    """
    height, width = (side // 8 for side in images.shape[1:3])
    return np.concatenate(
        [
            images[rows[start : start + 1000], : 8 * height, : 8 * width]
            .reshape(-1, 8, height, 8, width, 3)
            .mean((2, 4), dtype="float32")
            .reshape(-1, 192)
            for start in range(0, len(rows), 1000)
        ]
    )


def write_array(path: Path, array: np.ndarray) -> None:
    with replaced_file(path, force=True) as draft:
        np.save(draft, array)
