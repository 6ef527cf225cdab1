"""Pictures of any collection, decoded once to squares and then mapped from a file."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from examples._training.datasets.collection import Collection
from examples._training.pictures import Pictures, write_array
from examples._training.tables import write_table
from keras_involution.whale_id.images import PhotographError

IMAGES, TABLE = "images.npy", "pictures.csv"
COLUMNS = ("name", "label", "given", "skipped")


@dataclass(frozen=True)
class Decoded:
    """The pictures of a collection as an array, a row each.

    Args:
        pictures: `Pictures`; the rows of skipped ones are black.
        names: List of strings.
        given: List of `"train"`, `"val"`, `"test"` or `""`: the part that the data
            themselves put a picture in.
        skipped: Dictionary of name -> why it could not be decoded.
    """

    pictures: Pictures
    names: list[str]
    given: list[str]
    skipped: dict[str, str]

    def rows(self, part: str) -> np.ndarray:
        """The rows that the data put in a part."""
        return np.flatnonzero(np.array(self.given) == part)


def decode(
    find: Callable[[], Collection],
    folder: Path,
    side: Callable[[Collection], int],
    crop: bool = False,
    on_error: str = "stop",
) -> Decoded:
    """Reads `folder`, or decodes the collection into it.

    Args:
        find: Function that opens the collection; not called where `folder` is complete.
        folder: Path of the cache.
        side: Function from a collection to the sides of its decoded pictures.
        crop: Boolean, whether the middle square is taken; otherwise the whole picture
            is stretched to a square.
        on_error: `"stop"` raises for a picture that cannot be decoded, `"skip"` notes
            it.

    Returns:
        `Decoded`, whose images are a memory map.

    Raises:
        PhotographError: If a picture cannot be decoded and `on_error` is `"stop"`.
    """
    if not (folder / TABLE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        collection = find()
        skipped = _decode(collection, folder, side(collection), crop, on_error)
        _write_table(folder / TABLE, collection, skipped)
    return _read(folder)


def _decode(
    collection: Collection, folder: Path, side: int, crop: bool, on_error: str
) -> dict[int, str]:
    skipped: dict[int, str] = {}
    images = np.lib.format.open_memmap(
        folder / IMAGES, "w+", "uint8", (len(collection.names), side, side, 3)
    )
    for row, picture in enumerate(collection.read(side, crop)):
        if not isinstance(picture, PhotographError):
            images[row] = picture
        elif on_error == "stop":
            raise picture
        else:
            skipped[row] = str(picture)
    images.flush()
    write_array(folder / "labels.npy", collection.labels)
    return skipped


def _write_table(path: Path, collection: Collection, skipped: dict[int, str]) -> None:
    """The last file: with it the cache is complete."""
    with write_table(path, COLUMNS) as writer:
        for row, name in enumerate(collection.names):
            label, given = collection.labels[row], collection.given[row]
            writer.writerow([name, label, given, skipped.get(row, "")])


def _read(folder: Path) -> Decoded:
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    images = np.load(folder / IMAGES, mmap_mode="r")
    return Decoded(
        pictures=Pictures(images, np.load(folder / "labels.npy")),
        names=[row["name"] for row in rows],
        given=[row["given"] for row in rows],
        skipped={row["name"]: row["skipped"] for row in rows if row["skipped"]},
    )
