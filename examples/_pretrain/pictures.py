"""The pictures of a Tiny-ImageNet pack: decoded once, then mapped from a file."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, features

SAME = 5.0
"""Grey levels by which thumbnails of one picture differ at most."""


class Pictures(NamedTuple):
    """Bytes (N, H, W, 3) and class numbers (N,)."""

    images: np.ndarray
    labels: np.ndarray


def load_split(data: Path, split: str, cache: Path) -> Pictures:
    """All pictures of the files `split*.npz`, decoded into `cache` the first time.

    Args:
        data: Folder with `train-0.npz` and so on, and `val.npz`.
        split: `"train"` or `"val"`.
        cache: Folder for `split-images.npy` and `split-labels.npy`.

    Returns:
        Pictures; the images are a memory map.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    images, labels = (cache / f"{split}-{part}.npy" for part in ("images", "labels"))
    if not labels.exists():
        files = sorted(data.glob(f"{split}*.npz"))
        if not files:
            raise FileNotFoundError(f"No {split}*.npz in {data}.")
        parts = [decode_sheets(file) for file in files]
        cache.mkdir(parents=True, exist_ok=True)
        _write(images, np.concatenate([part.images for part in parts]))
        _write(labels, np.concatenate([part.labels for part in parts]))
    return Pictures(np.load(images, mmap_mode="r"), np.load(labels))


def decode_sheets(path: Path) -> Pictures:
    """One file of sheets, a picture each class, cut into its tiles."""
    if not features.check("avif"):
        raise RuntimeError("Pillow was built without AVIF; 11.3 on PyPI has it.")
    with np.load(path) as file:
        data, starts = file["sheets"].tobytes(), file["offsets"]
        counts = file["counts"] if "counts" in file else file["per_class"]
        counts = np.broadcast_to(counts, len(starts) - 1)
        side = int(file["tile"])
    images = [
        _tiles(data[start:end], side)[:count]
        for start, end, count in zip(starts[:-1], starts[1:], counts)
    ]
    return Pictures(np.concatenate(images), np.repeat(np.arange(len(counts)), counts))


def class_names(data: Path) -> list[str]:
    """The first word of each class's names, in the order of the labels."""
    with (data / "classes.csv").open(encoding="utf-8", newline="") as file:
        names = [row["name"].split(",")[0] for row in csv.DictReader(file)]
    return [
        name if names.count(name) == 1 else f"{name} {names[:i].count(name) + 1}"
        for i, name in enumerate(names)
    ]


def rows_without_copies(
    train: np.ndarray, held_out: np.ndarray, cache: Path
) -> np.ndarray:
    """The rows of `train` that show no picture of `held_out`, however compressed.

    Pictures are compared as thumbnails of 8 x 8 pixels, by the root of their mean
    squared difference. Of Tiny-ImageNet, 7 validation pictures have a copy among the
    training pictures, at 2.4 to 3.4 grey levels in two compressions; the next pairs,
    of different pictures, begin at 7.5.

    Args:
        train: Bytes (N, H, W, 3).
        held_out: Bytes (M, H, W, 3), with the same sides, multiples of 8.
        cache: Folder for `train-rows.npy`, which is read if it is there.

    Returns:
        Integer array of at most N rows.
    """
    path = cache / "train-rows.npy"
    if not path.exists():
        every, other = thumbnails(train), thumbnails(held_out)
        copies = np.zeros(len(train), bool)
        lengths = (every**2).sum(-1)
        for start in range(0, len(other), 500):
            some = other[start : start + 500]
            squares = lengths - 2 * some @ every.T + (some**2).sum(-1)[:, None]
            copies |= (squares < every.shape[1] * SAME**2).any(0)
        _write(path, np.flatnonzero(~copies))
    return np.load(path)


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Means of 8 x 8 equal fields: bytes (N, H, W, 3) to float32 (N, 192)."""
    height, width = (side // 8 for side in images.shape[1:3])
    return np.concatenate(
        [
            images[start : start + 1000]
            .reshape(-1, 8, height, 8, width, 3)
            .mean((2, 4), dtype="float32")
            .reshape(-1, 192)
            for start in range(0, len(images), 1000)
        ]
    )


def _tiles(sheet: bytes, side: int) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGB"))
    rows, columns = pixels.shape[0] // side, pixels.shape[1] // side
    tiles = pixels.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
    return tiles.reshape(rows * columns, side, side, 3)


def _write(path: Path, array: np.ndarray) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        np.save(file, array)
    os.replace(draft, path)
