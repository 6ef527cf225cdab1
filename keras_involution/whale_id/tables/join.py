"""Joins several tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from keras_involution.whale_id.tables._columns import OPTIONAL


def join_tables(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenates the rows of several tables.

    Args:
        tables: Sequence of DataFrames as returned by `read_table`. If only some tables
            have a column `split`, the rows of the others are for training.

    Returns:
        DataFrame with rows numbered from 0 and all columns of all tables.

    Example:

    >>> import pandas as pd
    >>> from keras_involution.whale_id.tables import from_wildlife, join_tables
    >>> df = pd.DataFrame({"image_id": ["1"], "identity": ["A"], "path": ["1.jpg"]})
    >>> split = from_wildlife(df).assign(split="test")
    >>> join_tables([split, from_wildlife(df)])["split"].to_list()
    ['test', 'train']
    """
    if any("split" in table for table in tables):
        tables = [t if "split" in t else t.assign(split="train") for t in tables]
    joined = pd.concat(tables, ignore_index=True)
    for name in {*OPTIONAL} & {*joined}:
        told = joined[name].astype(object)
        joined[name] = told.where(told.notna(), None)
    return joined
