"""A folder of pictures for each class, as Caltech-101 and Caltech-256 have them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from examples._training.datasets.collection import Collection
from keras_involution.whale_id.images import PhotographError, read_photograph

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif")
INNER = ("101_ObjectCategories", "256_ObjectCategories")
PARTS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
THREADS, AT_ONCE = 4, 256


def open_folder(path: Path) -> Collection | None:
    """Classes in the order of their folders' names, pictures in that of theirs.

    This is the order of torchvision too. Names that begin with a dot, files that are
    no pictures by their suffix and folders inside of a class are passed over. A class
    without a picture in any part is named as empty.
    """
    if not path.is_dir():
        return None
    for name in INNER:
        if (path / name).is_dir():
            path = path / name
    folders = _class_folders(path)
    found = [
        (part, folder.name, file) for part, folder in folders for file in _files(folder)
    ]
    if not found:
        return None
    classes = sorted({name for _, name, _ in found})
    empty = sorted({folder.name for _, folder in folders} - set(classes))
    files = [file for _, _, file in found]
    return Collection(
        kind="folder",
        class_names=classes,
        names=[file.relative_to(path).as_posix() for file in files],
        labels=np.array([classes.index(name) for _, name, _ in found]),
        given=[part for part, _, _ in found],
        tile=None,
        read=functools.partial(read_files, files),
        empty=tuple(empty),
    )


def read_files(
    files: Sequence[Path], side: int, crop: bool
) -> Iterator[np.ndarray | PhotographError]:
    """Some threads decode, a few hundred pictures ahead."""
    read = functools.partial(_read, side=side, crop=crop)
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(files), AT_ONCE):
            yield from pool.map(read, files[start : start + AT_ONCE])


def _read(file: Path, side: int, crop: bool) -> np.ndarray | PhotographError:
    try:
        if not crop:
            return read_photograph(file, (side, side))
        picture = Image.fromarray(read_photograph(file))
    except PhotographError as error:
        return error
    short = min(picture.size)
    left, top = ((length - short) // 2 for length in picture.size)
    box = (left, top, left + short, top + short)
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, box))


def _class_folders(path: Path) -> list[tuple[str, Path]]:
    """(part, folder) of every class, of each part anew."""
    folders = _folders(path)
    names = {folder.name for folder in folders}
    if "train" in names and names <= set(PARTS) and _folders(path / "train"):
        return [
            (PARTS[part.name], folder) for part in folders for folder in _folders(part)
        ]
    return [("", folder) for folder in folders]


def _folders(path: Path) -> list[Path]:
    found = (entry for entry in path.iterdir() if entry.is_dir())
    return sorted((f for f in found if f.name[0] != "."), key=lambda f: f.name)


def _files(folder: Path) -> list[Path]:
    found = (entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES)
    pictures = (f for f in found if f.name[0] != "." and f.is_file())
    return sorted(pictures, key=lambda f: f.name)
