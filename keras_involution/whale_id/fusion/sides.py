"""Left and right sides of animals."""

from __future__ import annotations

import numpy as np
import pandas as pd

LEFT, RIGHT, NO_SIDE = 1, 2, 0
_WORDS = {"l": LEFT, "r": RIGHT, "lt": LEFT, "rt": RIGHT}


def sides_of(table: pd.DataFrame) -> np.ndarray:
    """The side that each photo shows.

    Args:
        table: DataFrame with `viewpoint`, such as `left`, `right`, `L` or `front_left`.
            Any other value, or a missing one, is an unknown side.

    Returns:
        Array (N,) of `LEFT`, `RIGHT` and `NO_SIDE`.

    Example:

    >>> import pandas as pd
    >>> from keras_involution.whale_id.fusion.sides import sides_of
    >>> sides_of(pd.DataFrame({"viewpoint": ["left", "R", "dorsal", None]})).tolist()
    [1, 2, 0, 0]
    """
    if "viewpoint" not in table:
        return np.zeros(len(table), int)
    return np.array([_side(value) for value in table["viewpoint"]], int)


def compatible_sides(queries: pd.DataFrame, database: pd.DataFrame) -> np.ndarray:
    """(Q, N), false if one photo shows the left side and the other the right side."""
    asked, known = sides_of(queries)[:, None], sides_of(database)[None]
    return (asked == known) | (asked == NO_SIDE) | (known == NO_SIDE)


def _side(value: object) -> int:
    word = str(value).strip().lower() if isinstance(value, str) else ""
    if word in _WORDS:
        return _WORDS[word]
    left, right = "left" in word, "right" in word
    return NO_SIDE if left == right else LEFT if left else RIGHT
