"""Removes the problems of a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from keras_involution.whale_id.tables.check import Problem, check_table

_REMEDIES = {"box": "bbox", "species": "species"}
_BROKEN = ("missing", "undecodable", "box", "two animals")


def fix_table(
    table: pd.DataFrame, problems: Sequence[Problem] | None = None
) -> pd.DataFrame:
    """Returns a copy of a table without the problems that `check_table` finds.

    Boxes are clipped to the image, misspelled species are corrected, and invalid dates
    are cleared. A row is removed if its image is missing or cannot be decoded, if its
    box lies outside the image, if its image is listed under two animals (all such rows
    are removed, since the right one is not known), or if a kept row above has the same
    `image_id`. A species that is not similar to a known name does not change.

    Args:
        table: DataFrame as returned by `read_table`.
        problems: List of `Problem` of this table; `None` runs `check_table`.

    Returns:
        DataFrame with the remaining rows, which keep their index.

    Example:

    >>> from keras_involution.whale_id import Problem, fix_table, from_wildlife
    >>> import pandas as pd
    >>> df = {"image_id": ["1", "1"], "identity": ["A", "A"], "path": ["1.jpg"] * 2}
    >>> table = from_wildlife(pd.DataFrame(df))
    >>> len(fix_table(table, [Problem(1, "repeated id", "image_id '1' occurs before")]))
    1
    """
    problems = check_table(table) if problems is None else problems
    fixed = table.copy()
    dropped = set()
    for problem in problems:
        if problem.meant is not None and problem.kind in _REMEDIES:
            fixed.at[problem.row, _REMEDIES[problem.kind]] = problem.meant
        elif problem.kind in _BROKEN:
            dropped.add(problem.row)
        elif problem.kind == "date":
            fixed.at[problem.row, "date"] = None
    fixed = fixed.drop(index=sorted(dropped))
    # Among the remaining rows: the first occurrence may be removed.
    return fixed[~fixed["image_id"].duplicated()]
