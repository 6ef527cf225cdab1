"""Writes tables to files."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Literal

import pandas as pd

from keras_involution._files import atomic_write

SUFFIXES = (".csv", ".parquet")


def write_table(table: pd.DataFrame, path: str | Path, *, force: bool = False) -> None:
    """Writes a table as CSV, or as parquet if the name ends in `.parquet`.

    Args:
        table: DataFrame. Boxes are written as JSON text. Paths inside the folder of the
            file are written relative to it; other paths are absolute.
        path: File.
        force: Boolean, whether to replace an existing file. An interrupted write keeps
            the old file.

    Raises:
        ValueError: If the suffix is unknown, or the file exists and `force` is false.
    """
    plain = plain_table(table)
    if "path" in plain:
        folder = os.path.abspath(os.path.dirname(path))
        plain = plain.assign(path=[_from(folder, place) for place in plain["path"]])
    with atomic_write(path, force, SUFFIXES) as draft:
        if draft.suffix.lower() == ".parquet":
            plain.to_parquet(draft, index=False)
        else:
            write_csv(plain, draft)


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Writes CSV that can be read back exactly.

    A name that a spreadsheet would run as a formula, such as `=1+1`, is written
    unchanged: programs read these files, and a changed name would be another animal.
    `check_table` lists such names.
    """
    table.to_csv(path, index=False, quoting=csv_quoting(table))


def csv_quoting(table: pd.DataFrame) -> Literal[0, 1]:
    """The quoting with which a table can be read back exactly."""
    numeric = pd.api.types.is_numeric_dtype
    texts = [column for _, column in table.items() if not numeric(column)]
    # Without quotes, a carriage return would end the row when read back.
    returns = any("\r" in value for column in texts for value in map(str, column))
    return csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL


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
