"""A table without its problems."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from keras_involution.whale_id.tables.check import Problem, check_table

_REMEDIES = {"box": "bbox", "species": "species"}
_BROKEN = ("missing", "undecodable", "box", "two animals")


def fix_table(
    table: pd.DataFrame, problems: Sequence[Problem] | None = None
) -> pd.DataFrame:
    """A copy of a table that `check_table` finds nothing wrong with.

    Boxes are cut at the edge of the image, species are spelled as they are meant, and
    what is no date is emptied. Rows are left out whose image is missing or cannot be
    decoded, whose box shows nothing, whose image stands under two animals (all of
    them: which is right is not known), or whose `image_id` a row above has that stays.
    A species that resembles no known name stays as it is.

    Args:
        table: DataFrame as `read_table` gives it.
        problems: List of `Problem` of this table; `None` runs `check_table`.

    Returns:
        DataFrame with the labels of the rows that are kept.

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
    # Of those that are left: what stood there first may be gone.
    return fixed[~fixed["image_id"].duplicated()]
