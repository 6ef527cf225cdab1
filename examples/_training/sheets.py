"""Sheets of tiles: all pictures of a class in one compressed picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, features

from examples._training.pictures import Pictures


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


def _tiles(sheet: bytes, side: int) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGB"))
    rows, columns = pixels.shape[0] // side, pixels.shape[1] // side
    tiles = pixels.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
    return tiles.reshape(rows * columns, side, side, 3)
