"""One folder of images for each class, as in Caltech-101 and Caltech-256."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from keras_involution.data.collection import ImageCollection
from keras_involution.data.images import ImageError, read_image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif")
INNER = ("101_ObjectCategories", "256_ObjectCategories")
SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
THREADS, AT_ONCE = 4, 256


def open_folder(path: Path) -> ImageCollection | None:
    """Opens a folder of class folders, sorted by name as in torchvision.

    Hidden files, files without the suffix of an image and folders inside a class are
    ignored. A class that has no image in any split is listed in `empty`.
    """
    if not path.is_dir():
        return None
    for name in INNER:
        if (path / name).is_dir():
            path = path / name
    folders = _class_folders(path)
    found = [
        (split, folder.name, file)
        for split, folder in folders
        for file in files_in(folder)
    ]
    if not found:
        return None
    classes = sorted({name for _, name, _ in found})
    empty = sorted({folder.name for _, folder in folders} - set(classes))
    files = [file for _, _, file in found]
    return ImageCollection(
        kind="folder",
        class_names=classes,
        names=[file.relative_to(path).as_posix() for file in files],
        labels=np.array([classes.index(name) for _, name, _ in found]),
        official_splits=[split for split, _, _ in found],
        side=None,
        read=functools.partial(read_files, files),
        empty=tuple(empty),
    )


def read_files(
    files: Sequence[Path], side: int, crop: bool
) -> Iterator[np.ndarray | ImageError]:
    """Decodes files in threads, up to a few hundred images ahead."""
    read = functools.partial(_read, side=side, crop=crop)
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(files), AT_ONCE):
            yield from pool.map(read, files[start : start + AT_ONCE])


def _read(file: Path, side: int, crop: bool) -> np.ndarray | ImageError:
    try:
        if not crop:
            return read_image(file, (side, side))
        image = Image.fromarray(read_image(file))
    except ImageError as error:
        return error
    short = min(image.size)
    left, top = ((length - short) // 2 for length in image.size)
    box = (left, top, left + short, top + short)
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box))


def _class_folders(path: Path) -> list[tuple[str, Path]]:
    """Pairs of split name and class folder."""
    folders = _folders(path)
    names = {folder.name for folder in folders}
    if "train" in names and names <= set(SPLITS) and _folders(path / "train"):
        return [
            (SPLITS[split.name], folder)
            for split in folders
            for folder in _folders(split)
        ]
    return [("", folder) for folder in folders]


def _folders(path: Path) -> list[Path]:
    found = (entry for entry in path.iterdir() if entry.is_dir())
    return sorted((f for f in found if f.name[0] != "."), key=lambda f: f.name)


def files_in(folder: Path) -> list[Path]:
    found = (entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES)
    images = (f for f in found if f.name[0] != "." and f.is_file())
    return sorted(images, key=lambda f: f.name)
