"""Sheets: many small images of a class stored as the tiles of one large image."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, features

from keras_involution._files import reading
from keras_involution.data._tables import csv_rows
from keras_involution.data.collection import ImageCollection, resized

SPLIT_NAMES = {1: "train", 2: "test"}
SHEET_FILES = ("sources.csv", "train.jpg", "test.jpg")


def open_pack(path: Path) -> ImageCollection | None:
    """Opens an .npz file of `sheets`, `offsets`, `classes`, `counts` and `tile`.

    An optional array `split` holds 1 for training images and 2 for test images.
    """
    if path.suffix != ".npz" or not path.is_file():
        return None
    with (
        reading(path, "The dataset", name="data"),
        np.load(path, allow_pickle=False) as file,
    ):
        if not {"sheets", "offsets", "classes", "tile"} <= set(file.files):
            return None
        classes, counts = [str(name) for name in file["classes"]], counts_of(file)
        official = [""] * int(counts.sum())
        if "split" in file:
            official = [SPLIT_NAMES[number] for number in file["split"].tolist()]
        tile = int(file["tile"])

    def read(side: int, crop: bool) -> Iterator[np.ndarray]:
        return read_sheets([path], side)

    return ImageCollection(
        kind="sheets",
        class_names=classes,
        names=names_of(classes, counts),
        labels=np.repeat(np.arange(len(classes)), counts),
        official_splits=official,
        side=tile,
        read=read,
    )


def open_sheet_folder(path: Path) -> ImageCollection | None:
    """Opens `train.jpg` and `test.jpg`, one class per row, and `sources.csv`."""
    if not all((path / name).is_file() for name in SHEET_FILES):
        return None
    columns = ("class", "column", "split")
    rows = csv_rows(path / "sources.csv", columns, "The list of images", "data")
    classes = sorted({name for name, _, _ in rows})
    with reading(path, "The dataset", name="data"):
        places = {
            part: [(name, int(column)) for name, column, own in rows if own == part]
            for part in ("train", "test")
        }
        with Image.open(path / "train.jpg") as sheet:
            tile = sheet.height // len(classes)

    def read(side: int, crop: bool) -> Iterator[np.ndarray]:
        for part, found in places.items():
            columns = len(found) // len(classes)
            tiles = cut((path / f"{part}.jpg").read_bytes(), tile)
            order = [classes.index(name) * columns + place for name, place in found]
            yield from resized(tiles[order], side)

    found = [(part, *place) for part, own in places.items() for place in own]
    return ImageCollection(
        kind="sheets",
        class_names=classes,
        names=[f"{part}/{name}/{place:02d}" for part, name, place in found],
        labels=np.array([classes.index(name) for _, name, _ in found]),
        official_splits=[part for part, _, _ in found],
        side=tile,
        read=read,
    )


def read_sheets(paths: Sequence[Path], side: int) -> Iterator[np.ndarray]:
    """Yields the tiles of the sheets of several files, resized to `side`."""
    if not features.check("avif"):
        raise RuntimeError("Pillow was built without AVIF. Install Pillow 11.3.")
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            data, starts = file["sheets"].tobytes(), file["offsets"]
            counts, tile = counts_of(file), int(file["tile"])
        for start, end, count in zip(starts[:-1], starts[1:], counts):
            yield from resized(cut(data[start:end], tile)[:count], side)


def counts_of(file: np.lib.npyio.NpzFile) -> np.ndarray:
    """Number of images on each sheet. The last tiles of a sheet may be empty."""
    counts = file["counts"] if "counts" in file else file["per_class"]
    return np.broadcast_to(counts, len(file["offsets"]) - 1)


def names_of(folders: Sequence[str], counts: Iterable[int]) -> list[str]:
    return [
        f"{folder}/{number:04d}"
        for folder, count in zip(folders, counts)
        for number in range(count)
    ]


def cut(sheet: bytes, tile: int) -> np.ndarray:
    """Decodes a sheet to its tiles, row by row: uint8 (N, tile, tile, 3)."""
    pixels = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGB"))
    rows, columns = pixels.shape[0] // tile, pixels.shape[1] // tile
    tiles = pixels.reshape(rows, tile, columns, tile, 3).swapaxes(1, 2)
    return tiles.reshape(rows * columns, tile, tile, 3)
