"""Reads folders with one subfolder per animal."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.tables._columns import UNKNOWN, standard_table

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def read_folder(source: str | Path) -> pd.DataFrame:
    """Reads photos from a folder with one subfolder for each animal.

    Args:
        source: Folder. The names of its subfolders are the animals; photos directly in
            it show unknown animals. Hidden files and files without an image suffix are
            ignored. A single image is treated like a folder with only this image.

    Returns:
        DataFrame, a table with the standard columns; see `read_table`. The `image_id`
        is the path inside the folder.

    Raises:
        ValueError: If the folder does not exist or contains no image.
    """
    root = Path(source)
    if is_image_file(root):
        root, inside = root.parent, [Path(root.name)]
    elif root.is_dir():
        inside = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    else:
        raise ValueError(f"The folder does not exist. {received(source=str(root))}")
    images = sorted(p.as_posix() for p in inside if _is_image(p))
    if not images:
        raise ValueError(f"The folder contains no images. {received(source=str(root))}")
    animals = [p.split("/")[0] if "/" in p else UNKNOWN for p in images]
    frame = {"image_id": images, "identity": animals, "path": images}
    return standard_table(pd.DataFrame(frame), root)


def is_image_file(path: Path) -> bool:
    """Whether the path is a file with an image suffix."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _is_image(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden
