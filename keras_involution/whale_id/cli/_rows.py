"""Parts of files, as `COLUMN=VALUE,...` names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import pandas as pd

    from keras_involution.whale_id import Embeddings


def load_part(path: str, rows: Sequence[str]) -> Embeddings:
    """The rows of a file for which every `COLUMN=VALUE,...` holds.

    Options of the same column add to each other.
    """
    from keras_involution._arguments import received
    from keras_involution.whale_id import Embeddings

    embeddings = Embeddings.load(path)
    if not rows:
        return embeddings
    wanted: dict[str, list[str]] = {}
    for text in rows:
        column, sign, value = text.partition("=")
        if not sign or column not in embeddings.table:
            asked = received(rows=text, columns=list(embeddings.table))
            raise ValueError(f"Rows are named as COLUMN=VALUE,VALUE. {asked}")
        wanted.setdefault(column, []).extend(_values(embeddings.table[column], value))
    chosen = embeddings.table["image_id"].notna()
    for column, values in wanted.items():
        chosen &= _holds(embeddings.table[column], values)
    if not chosen.any():
        raise ValueError(f"{path} has no such rows. {received(rows=list(rows))}")
    return embeddings.rows(chosen)


def _values(column: pd.Series, text: str) -> list[str]:
    """The values that a text names: itself where an animal is called so."""
    return [text] if (column.astype(str) == text).any() else text.split(",")


def _holds(column: pd.Series, values: Sequence[str]) -> pd.Series:
    texts = column.astype(str)
    for value in values:
        if not (texts == value).any():
            click.echo(f"no row has {column.name}={value!r}", err=True)
    return texts.isin(values)
