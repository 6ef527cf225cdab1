"""The photos of `examples/data` as arrays."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

DATA = Path(__file__).parents[1] / "data"
CLASS_NAMES = (
    "airplane",
    "bonsai",
    "butterfly",
    "grand_piano",
    "hawksbill",
    "leopard",
    "motorbike",
    "starfish",
    "sunflower",
    "watch",
)
TILE = 96
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Fin:
    """One photo of a dorsal fin."""

    image_id: str
    identity: str
    orientation: str
    credit: str
    image: np.ndarray


def load_photos(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Loads the photos of ten classes.

    Args:
        split: `"train"` for 40 photos per class, or `"test"` for 20.

    Returns:
        uint8 array (N, 96, 96, 3), sorted by class, and the class numbers (N,).
    """
    sheet = np.asarray(Image.open(DATA / "caltech101-mini" / f"{split}.jpg"))
    tiles = sheet.reshape(len(CLASS_NAMES), TILE, -1, TILE, 3).swapaxes(1, 2)
    images = tiles.reshape(-1, TILE, TILE, 3)
    labels = np.arange(len(CLASS_NAMES)).repeat(len(images) // len(CLASS_NAMES))
    return images, labels


def load_fins(longest_side: int = 640) -> list[Fin]:
    """Loads the ten photos of dorsal fins, resized to `longest_side`."""
    folder = DATA / "dolphin_fins"
    with open(folder / "metadata.csv", encoding="utf-8", newline="") as table:
        return [_read_fin(row, folder, longest_side) for row in csv.DictReader(table)]


def _read_fin(row: dict[str, str], folder: Path, longest_side: int) -> Fin:
    with Image.open(folder / row["path"]) as photo:
        photo.thumbnail((longest_side, longest_side))
        image = np.asarray(photo.convert("RGB"))
    return Fin(
        image_id=row["image_id"],
        identity=row["identity"],
        orientation=row["orientation"],
        credit=f"{row['source']}, {row['licence']}",
        image=image,
    )
