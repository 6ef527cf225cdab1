"""Parts of files, selected by `COLUMN=VALUE,...`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import pandas as pd

    from keras_involution.whale_id import Embeddings


def load_part(path: str, rows: Sequence[str]) -> Embeddings:
    """The rows of a file of embeddings for which every `COLUMN=VALUE,...` holds."""
    from keras_involution.whale_id import Embeddings

    embeddings = Embeddings.load(path)
    return embeddings.rows(chosen_rows(embeddings.table, rows, path))


def part_of(table: pd.DataFrame, rows: Sequence[str], path: str) -> pd.DataFrame:
    """The rows of a table for which every `COLUMN=VALUE,...` holds."""
    return table[chosen_rows(table, rows, path)].reset_index(drop=True)


def chosen_rows(table: pd.DataFrame, rows: Sequence[str], path: str) -> pd.Series:
    """For each row, whether every `COLUMN=VALUE,...` holds.

    Values in several options for the same column are combined.
    """
    from keras_involution._arguments import received

    wanted: dict[str, list[str]] = {}
    for text in rows:
        column, sign, value = text.partition("=")
        if not sign or column not in table:
            asked = received(rows=text, columns=list(table))
            raise ValueError(f"Rows are selected as COLUMN=VALUE,VALUE. {asked}")
        wanted.setdefault(column, []).extend(_values(table[column], value))
    chosen = table["image_id"].notna()
    for column, values in wanted.items():
        chosen &= _holds(table[column], values)
    if not chosen.any():
        raise ValueError(f"{path} has no matching rows. {received(rows=list(rows))}")
    return chosen


def _values(column: pd.Series, text: str) -> list[str]:
    """The values in a text: the whole text if the column contains it."""
    return [text] if (column.astype(str) == text).any() else text.split(",")


def _holds(column: pd.Series, values: Sequence[str]) -> pd.Series:
    texts = column.astype(str)
    for value in values:
        if not (texts == value).any():
            click.echo(f"no row has {column.name}={value!r}", err=True)
    return texts.isin(values)
