"""The pictures of a Tiny-ImageNet pack: decoded once, then mapped from a file."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from examples._training.pictures import Pictures, write_array
from examples._training.sheets import decode_sheets


def load_split(data: Path, split: str, cache: Path) -> Pictures:
    """All pictures of the files `split*.npz`, decoded into `cache` the first time.

    Args:
        data: Folder with `train-0.npz` and so on, and `val.npz`.
        split: `"train"` or `"val"`.
        cache: Folder for `split-images.npy` and `split-labels.npy`.

    Returns:
        Pictures; the images are a memory map.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    images, labels = (cache / f"{split}-{part}.npy" for part in ("images", "labels"))
    if not labels.exists():
        files = sorted(data.glob(f"{split}*.npz"))
        if not files:
            raise FileNotFoundError(f"No {split}*.npz in {data}.")
        parts = [decode_sheets(file) for file in files]
        cache.mkdir(parents=True, exist_ok=True)
        write_array(images, np.concatenate([part.images for part in parts]))
        write_array(labels, np.concatenate([part.labels for part in parts]))
    return Pictures(np.load(images, mmap_mode="r"), np.load(labels))


def class_names(data: Path) -> list[str]:
    """The first word of each class's names, in the order of the labels."""
    with (data / "classes.csv").open(encoding="utf-8", newline="") as file:
        names = [row["name"].split(",")[0] for row in csv.DictReader(file)]
    return [
        name if names.count(name) == 1 else f"{name} {names[:i].count(name) + 1}"
        for i, name in enumerate(names)
    ]
