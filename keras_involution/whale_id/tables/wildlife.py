"""Converts tables of wildlife-datasets."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from keras_involution.whale_id.tables._columns import standard_table


def from_wildlife(
    df: pd.DataFrame, root: str | Path = ".", *, boxes: bool = True
) -> pd.DataFrame:
    """Converts a DataFrame with the columns of wildlife-datasets to a table.

    Args:
        df: DataFrame with `image_id`, `identity` and `path`, and optionally `bbox`
            ([x, y, w, h], a list or JSON text), `species`, `date`, `orientation`,
            `position` or `viewpoint`, `encounter`, `split` or `original_split`.
        root: Base folder of the paths.
        boxes: Boolean; `False` ignores the boxes, for example if they belong to other
            images than `path`.

    Returns:
        DataFrame, a table with the standard columns; see `read_table`.

    Raises:
        ValueError: If a column is missing or a row lacks its id or path.

    Example:

    >>> import pandas as pd
    >>> from keras_involution.whale_id.tables import from_wildlife
    >>> df = pd.DataFrame(
    ...     {"image_id": [7], "identity": ["new_whale"], "path": ["a/7.jpg"]}
    ... )
    >>> table = from_wildlife(df, "/photos")
    >>> table.loc[0].to_list()
    ['7', 'unknown', '/photos/a/7.jpg']
    """
    return standard_table(df, root, boxes)
