"""Writes CSV files completely or not at all, and reads them with limits."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_involution._files import atomic_write, reading


@contextlib.contextmanager
def csv_writer(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """Yields a `csv.writer` whose file replaces `path` at the end of the block."""
    with (
        atomic_write(path, force=True) as draft,
        draft.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        yield writer


def csv_rows(
    path: Path, columns: Sequence[str], what: str, name: str, most: int | None = None
) -> list[tuple[str, ...]]:
    """Reads some columns of a table.

    Args:
        path: Path of a table whose first row has the names of the columns.
        columns: Sequence of strings, the columns to read.
        what: String, the name of the table in errors, as in `reading`.
        name: String, name of the argument that holds `path`.
        most: Integer, maximum number of rows.

    Returns:
        List of tuples of strings, one for each row.

    Raises:
        ValueError: If the file is damaged, lacks a column or a cell, or has too many
            rows.
    """
    rows: list[tuple[str, ...]] = []
    with (
        reading(path, what, name=name),
        path.open(encoding="utf-8-sig", newline="") as file,
    ):
        reader = csv.reader(file)
        head = next(reader, [])
        if missing := [column for column in columns if column not in head]:
            raise ValueError(f"it lacks the columns {missing}, and has {head[:10]}")
        places = [head.index(column) for column in columns]
        for cells in filter(None, reader):
            if len(cells) <= max(places):
                raise ValueError(f"line {reader.line_num} is too short")
            if len(rows) == most:
                raise ValueError(f"it has more than {most} rows")
            rows.append(tuple(cells[place] for place in places))
    return rows
