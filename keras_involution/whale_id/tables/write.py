"""Tables as files."""

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
    """Writes a table as CSV, or parquet where the name ends so.

    Args:
        table: DataFrame. Boxes are written as JSON text; paths that lead into the
            folder of the file are written from there, others in full.
        path: File.
        force: Boolean, whether to replace a file that is there. An interrupted write
            leaves the old one.

    Raises:
        ValueError: If the suffix is another, or the file is there and `force` is false.
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
    """Writes CSV that reads back exactly.

    A name that a spreadsheet would run as a formula, such as `=1+1`, is written as it
    is: programs read these files, and to them another name is another animal.
    `check_table` names them.
    """
    table.to_csv(path, index=False, quoting=csv_quoting(table))


def csv_quoting(table: pd.DataFrame) -> Literal[0, 1]:
    """How a table has to be quoted so that it reads back exactly."""
    numeric = pd.api.types.is_numeric_dtype
    texts = [column for _, column in table.items() if not numeric(column)]
    # Read back, a carriage return would end the row if it were not quoted.
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
