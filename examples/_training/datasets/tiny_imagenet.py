"""Tiny-ImageNet: the official folder, and its pack of sheets.

The official test pictures have no labels. The validation pictures are what accuracies
are reported on, so they are the test part here.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from examples._training.datasets.collection import Collection, numbered
from examples._training.datasets.image_folder import read_files
from examples._training.datasets.sheets import counts_of, names_of, read_sheets

ANNOTATIONS = Path("val", "val_annotations.txt")


def open_official(path: Path) -> Collection | None:
    """The folder with `train/<wnid>/images`, `val/val_annotations.txt`, `words.txt`."""
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
    return Collection(
        kind="Tiny-ImageNet",
        class_names=numbered([_first(words[wnid]) for wnid in wnids]),
        names=[file.relative_to(path).as_posix() for file in files],
        labels=np.array([wnids.index(wnid) for _, wnid, _ in found]),
        given=[part for part, _, _ in found],
        tile=None,
        read=functools.partial(read_files, files),
    )


def open_pack(path: Path) -> Collection | None:
    """The folder with `classes.csv`, `train-0.npz` and so on, and `val.npz`."""
    train, val = sorted(path.glob("train*.npz")), sorted(path.glob("val*.npz"))
    if not (train and val and (path / "classes.csv").is_file()):
        return None
    names: list[str] = []
    labels: list[np.ndarray] = []
    given: list[str] = []
    for file in (*train, *val):
        with np.load(file, allow_pickle=False) as pack:
            counts, tile = counts_of(pack), int(pack["tile"])
        names += names_of([f"{file.stem}/{i:03d}" for i in range(len(counts))], counts)
        labels.append(np.repeat(np.arange(len(counts)), counts))
        given += ["train" if file in train else "test"] * int(counts.sum())
    with (path / "classes.csv").open(encoding="utf-8", newline="") as table:
        words = [_first(row["name"]) for row in csv.DictReader(table)]

    def read(side: int, crop: bool) -> Iterator[np.ndarray]:
        return read_sheets([*train, *val], side)

    return Collection(
        kind="sheets of Tiny-ImageNet",
        class_names=numbered(words),
        names=names,
        labels=np.concatenate(labels),
        given=given,
        tile=tile,
        read=read,
    )


def _first(words: str) -> str:
    return words.split(",")[0]
