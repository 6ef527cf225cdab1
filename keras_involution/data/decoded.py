"""Decodes the images of a collection once and memory-maps the result."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_involution._files import atomic_write
from keras_involution.data._tables import csv_writer
from keras_involution.data.collection import ImageCollection
from keras_involution.data.images import ImageError

IMAGES, LABELS, TABLE = "images.npy", "labels.npy", "images.csv"
COLUMNS = ("name", "label", "official_split", "skipped")


class LabeledImages(NamedTuple):
    """Labeled images: uint8 images (N, H, W, 3) and class numbers (N,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class DecodedImages:
    """The images of a collection as one array.

    Attributes:
        data: `LabeledImages`. Skipped images are black.
        names: List of strings, one for each row.
        official_splits: List of `"train"`, `"val"`, `"test"` or `""`.
        skipped: Dictionary of name -> reason why the image could not be decoded.
    """

    data: LabeledImages
    names: list[str]
    official_splits: list[str]
    skipped: dict[str, str]

    def rows(self, split: str) -> np.ndarray:
        """The row numbers of an official split of the dataset, integers (M,)."""
        return np.flatnonzero(np.array(self.official_splits) == split)


def decode(
    find: Callable[[], ImageCollection],
    folder: Path,
    side: Callable[[ImageCollection], int],
    crop: bool = False,
    on_error: str = "stop",
) -> DecodedImages:
    """Decodes a collection into `folder`, or reads the images decoded earlier.

    Args:
        find: Function that opens the collection. It is not called if `folder` is
            complete.
        folder: Path of the cache folder.
        side: Function from a collection to the side of its decoded images.
        crop: Boolean, whether to crop the central square. Otherwise the whole image is
            stretched to a square.
        on_error: `"stop"` raises for an image that cannot be decoded, `"skip"` records
            it.

    Returns:
        `DecodedImages`, whose images are a memory map.

    Raises:
        ImageError: If an image cannot be decoded and `on_error` is `"stop"`.
    """
    if not (folder / TABLE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        collection = find()
        skipped = _decode(collection, folder, side(collection), crop, on_error)
        _write_table(folder / TABLE, collection, skipped)
    return _read(folder)


def _decode(
    collection: ImageCollection, folder: Path, side: int, crop: bool, on_error: str
) -> dict[int, str]:
    skipped: dict[int, str] = {}
    images = np.lib.format.open_memmap(
        folder / IMAGES, "w+", "uint8", (len(collection.names), side, side, 3)
    )
    for row, image in enumerate(collection.read(side, crop)):
        if not isinstance(image, ImageError):
            images[row] = image
        elif on_error == "stop":
            raise image
        else:
            skipped[row] = str(image)
    images.flush()
    write_array(folder / LABELS, collection.labels)
    return skipped


def write_array(path: Path, array: np.ndarray) -> None:
    """Writes an .npy file completely or not at all."""
    with atomic_write(path, force=True) as draft:
        np.save(draft, array)


def _write_table(
    path: Path, collection: ImageCollection, skipped: dict[int, str]
) -> None:
    """Writes the table of the images, which marks the cache as complete."""
    rows = zip(collection.names, collection.labels, collection.official_splits)
    with csv_writer(path, COLUMNS) as writer:
        for number, row in enumerate(rows):
            writer.writerow([*row, skipped.get(number, "")])


def _read(folder: Path) -> DecodedImages:
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    images = np.load(folder / IMAGES, mmap_mode="r")
    return DecodedImages(
        data=LabeledImages(images, np.load(folder / LABELS)),
        names=[row["name"] for row in rows],
        official_splits=[row["official_split"] for row in rows],
        skipped={row["name"]: row["skipped"] for row in rows if row["skipped"]},
    )
