"""A folder per animal."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.tables._columns import UNKNOWN, standard_table

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def read_folder(source: str | Path) -> pd.DataFrame:
    """Photographs in folders, one folder for each animal.

    Args:
        source: Folder. The names of the folders in it are the animals; what lies
            directly in it is unknown. Hidden files and files that are no pictures by
            their suffix do not count.

    Returns:
        DataFrame, a table with the standard columns; see `read_table`. The `image_id`
        is the path inside the folder.

    Raises:
        ValueError: If there is no such folder or no picture in it.
    """
    root = Path(source)
    if not root.is_dir():
        raise ValueError(f"There is no such folder. {received(source=str(root))}")
    inside = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    pictures = sorted(p.as_posix() for p in inside if _is_picture(p))
    if not pictures:
        raise ValueError(f"The folder holds no pictures. {received(source=str(root))}")
    animals = [p.split("/")[0] if "/" in p else UNKNOWN for p in pictures]
    frame = {"image_id": pictures, "identity": animals, "path": pictures}
    return standard_table(pd.DataFrame(frame), root)


def _is_picture(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden
