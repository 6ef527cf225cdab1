"""Reads tables of MiewID and Wild Me's tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.tables._columns import is_missing, standard_table
from keras_involution.whale_id.tables._frames import read_frame

_IDS = ("image_id", "annot_uuid", "uuid", "image_uuid", "file_name", "file_path")


def read_miewid(
    source: str | Path | pd.DataFrame,
    images: str | Path | None = None,
    *,
    boxes: bool = True,
) -> pd.DataFrame:
    """Reads a MiewID training table.

    Args:
        source: CSV file or DataFrame with `name` (the animal) and `file_path` or
            `file_name`, and optionally `x, y, w, h`, `species`, `viewpoint`, `theta`.
        images: Folder of the images; `None` is the folder of the CSV file.
        boxes: Boolean, whether to keep the boxes.

    Returns:
        DataFrame, a table with the standard columns; see `read_table`. An image with
        several animals has a row for each, `image_id` `1.jpg`, `1.jpg#1`, ...

    Raises:
        ValueError: If the table has other columns.

    Example:

    >>> import pandas as pd
    >>> from keras_involution.whale_id.tables import read_miewid
    >>> row = {"name": "A", "file_path": "1.jpg", "x": 1, "y": 2, "w": 8, "h": 9}
    >>> read_miewid(pd.DataFrame([row]), "/photos")["bbox"][0]
    [1.0, 2.0, 8.0, 9.0]
    """
    frame, root = read_frame(source, images)
    if not is_miewid(frame):
        raise ValueError(
            "A MiewID table has the columns name and file_path or file_name. "
            f"{received(columns=list(frame))}"
        )
    path = "file_path" if "file_path" in frame else "file_name"
    ids = next(frame[name] for name in _IDS if name in frame)
    columns: dict[str, Any] = {
        "image_id": numbered(ids),
        "identity": frame["name"].to_numpy(),
        "path": frame[path].to_numpy(),
    }
    if {"x", "y", "w", "h"} <= set(frame):
        boxes_of_rows = frame[["x", "y", "w", "h"]].to_numpy().tolist()
        columns["bbox"] = [
            None if all(map(is_missing, box)) else box for box in boxes_of_rows
        ]
    used = {"name", "file_path", "file_name", "x", "y", "w", "h", *columns}
    others = {name: frame[name].to_numpy() for name in frame if name not in used}
    return standard_table(pd.DataFrame(columns | others), root, boxes)


def is_miewid(frame: pd.DataFrame) -> bool:
    return "name" in frame and ("file_path" in frame or "file_name" in frame)


def numbered(ids: pd.Series) -> list[str]:
    """Makes ids unique: repeated ids get `#1`, `#2`, ..."""
    names = ids.astype(str)
    repeats = names.groupby(names, sort=False).cumcount()
    return [name if n == 0 else f"{name}#{n}" for name, n in zip(names, repeats)]
