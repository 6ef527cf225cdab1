"""Tables as files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd

from keras_involution.whale_id._files import replaced_file


def write_table(table: pd.DataFrame, path: str | Path, *, force: bool = False) -> None:
    """Writes a table as CSV, or parquet where the name ends so.

    Args:
        table: DataFrame. Boxes are written as JSON text; paths that lead into the
            folder of the file are written from there, others in full.
        path: File.
        force: Boolean, whether to replace a file that is there. An interrupted write
            leaves the old one.

    Raises:
        ValueError: If the file is there and `force` is false.
    """
    plain = plain_table(table)
    if "path" in plain:
        folder = os.path.abspath(os.path.dirname(path))
        plain = plain.assign(path=[_from(folder, place) for place in plain["path"]])
    with replaced_file(path, force) as draft:
        if Path(path).suffix == ".parquet":
            plain.to_parquet(draft, index=False)
        else:
            plain.to_csv(draft, index=False)


def plain_table(table: pd.DataFrame) -> pd.DataFrame:
    """The table with boxes as JSON text."""
    if "bbox" not in table:
        return table
    return table.assign(bbox=pd.Series(map(_box_text, table["bbox"]), table.index))


def _box_text(box: object) -> str | None:
    if isinstance(box, str) or box is None:
        return box
    return json.dumps(box) if isinstance(box, list) else None


def _from(folder: str, path: str) -> str:
    inside = path.startswith(folder.rstrip(os.sep) + os.sep)
    return os.path.relpath(path, folder) if inside else path
