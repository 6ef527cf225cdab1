"""Tiny-ImageNet: the official folder, and a pack of sheets.

The official test images have no labels. Accuracies are reported on the validation
images, which are therefore the test split here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_involution._files import reading
from keras_involution.data._tables import csv_rows
from keras_involution.data.collection import ImageCollection, numbered
from keras_involution.data.image_folder import read_files
from keras_involution.data.sheets import counts_of, names_of, read_sheets

ANNOTATIONS = Path("val", "val_annotations.txt")


def open_official(path: Path) -> ImageCollection | None:
    """Opens `train/<wnid>/images`, `val/val_annotations.txt` and `words.txt`."""
    if not (path / ANNOTATIONS).is_file() or not (path / "words.txt").is_file():
        return None
    wnids = sorted(entry.name for entry in (path / "train").iterdir() if entry.is_dir())
    found = [
        ("train", wnid, file)
        for wnid in wnids
        for file in sorted((path / "train" / wnid / "images").glob("*.JPEG"))
    ]
    for line in (path / ANNOTATIONS).read_text("utf-8").splitlines():
        name, wnid = line.split("\t")[:2]
        found.append(("test", wnid, path / "val" / "images" / name))
    lines = (path / "words.txt").read_text("utf-8").splitlines()
    words = dict(line.split("\t", 1) for line in lines)
    files = [file for _, _, file in found]
    return ImageCollection(
        kind="Tiny-ImageNet",
        class_names=numbered([_first(words[wnid]) for wnid in wnids]),
        names=[file.relative_to(path).as_posix() for file in files],
        labels=np.array([wnids.index(wnid) for _, wnid, _ in found]),
        official_splits=[part for part, _, _ in found],
        side=None,
        read=functools.partial(read_files, files),
    )


def open_pack(path: Path) -> ImageCollection | None:
    """Opens a folder of `classes.csv`, `train-0.npz` and so on, and `val.npz`."""
    train, val = sorted(path.glob("train*.npz")), sorted(path.glob("val*.npz"))
    if not (train and val and (path / "classes.csv").is_file()):
        return None
    names: list[str] = []
    labels: list[np.ndarray] = []
    official: list[str] = []
    for file in (*train, *val):
        with (
            reading(file, "The dataset", name="data"),
            np.load(file, allow_pickle=False) as pack,
        ):
            counts, tile = counts_of(pack), int(pack["tile"])
        names += names_of([f"{file.stem}/{i:03d}" for i in range(len(counts))], counts)
        labels.append(np.repeat(np.arange(len(counts)), counts))
        official += ["train" if file in train else "test"] * int(counts.sum())
    rows = csv_rows(path / "classes.csv", ("name",), "The list of classes", "data")

    def read(side: int, crop: bool) -> Iterator[np.ndarray]:
        return read_sheets([*train, *val], side)

    return ImageCollection(
        kind="sheets of Tiny-ImageNet",
        class_names=numbered([_first(words) for (words,) in rows]),
        names=names,
        labels=np.concatenate(labels),
        official_splits=official,
        side=tile,
        read=read,
    )


def _first(words: str) -> str:
    return words.split(",")[0]
