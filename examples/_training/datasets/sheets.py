"""Packs of sheets: many small pictures of a class as the tiles of one large one."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, features

from examples._training.datasets.collection import Collection, resized

PARTS = {1: "train", 2: "test"}
PHOTOGRAPHS = ("sources.csv", "train.jpg", "test.jpg")


def open_pack(path: Path) -> Collection | None:
    """A file with `sheets`, `offsets`, `classes`, `counts`, `tile` and perhaps `split`.

    In `split`, 1 is a training and 2 a test picture.
    """
    if path.suffix != ".npz" or not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as file:
        if not {"sheets", "offsets", "classes", "tile"} <= set(file.files):
            return None
        classes, counts = [str(name) for name in file["classes"]], counts_of(file)
        given = [""] * int(counts.sum())
        if "split" in file:
            given = [PARTS[number] for number in file["split"].tolist()]
        tile = int(file["tile"])

    def read(side: int, crop: bool) -> Iterator[np.ndarray]:
        return read_sheets([path], side)

    return Collection(
        kind="sheets",
        class_names=classes,
        names=names_of(classes, counts),
        labels=np.repeat(np.arange(len(classes)), counts),
        given=given,
        tile=tile,
        read=read,
    )


def open_photographs(path: Path) -> Collection | None:
    """A folder with `train.jpg` and `test.jpg`, a class a row, and `sources.csv`."""
    if not all((path / name).is_file() for name in PHOTOGRAPHS):
        return None
    with (path / "sources.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    classes = sorted({row["class"] for row in rows})
    places = {
        part: [
            (row["class"], int(row["column"])) for row in rows if row["split"] == part
        ]
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
    return Collection(
        kind="sheets",
        class_names=classes,
        names=[f"{part}/{name}/{place:02d}" for part, name, place in found],
        labels=np.array([classes.index(name) for _, name, _ in found]),
        given=[part for part, _, _ in found],
        tile=tile,
        read=read,
    )


def read_sheets(paths: Sequence[Path], side: int) -> Iterator[np.ndarray]:
    """The tiles of the sheets of several files, one after the other."""
    if not features.check("avif"):
        raise RuntimeError("Pillow was built without AVIF; 11.3 on PyPI has it.")
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            data, starts = file["sheets"].tobytes(), file["offsets"]
            counts, tile = counts_of(file), int(file["tile"])
        for start, end, count in zip(starts[:-1], starts[1:], counts):
            yield from resized(cut(data[start:end], tile)[:count], side)


def counts_of(file: np.lib.npyio.NpzFile) -> np.ndarray:
    """Pictures of each sheet; the last tiles of a sheet may be empty."""
    counts = file["counts"] if "counts" in file else file["per_class"]
    return np.broadcast_to(counts, len(file["offsets"]) - 1)


def names_of(folders: Sequence[str], counts: Sequence[int]) -> list[str]:
    return [
        f"{folder}/{number:04d}"
        for folder, count in zip(folders, counts)
        for number in range(count)
    ]


def cut(sheet: bytes, tile: int) -> np.ndarray:
    """The tiles of an encoded sheet, row by row: bytes (N, tile, tile, 3)."""
    pixels = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGB"))
    rows, columns = pixels.shape[0] // tile, pixels.shape[1] // tile
    tiles = pixels.reshape(rows, tile, columns, tile, 3).swapaxes(1, 2)
    return tiles.reshape(rows * columns, tile, tile, 3)
