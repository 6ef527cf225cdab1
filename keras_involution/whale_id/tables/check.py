"""What is wrong with a table, row by row."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from keras_involution._arguments import positive_integer
from keras_involution.whale_id.tables._check_pictures import (
    broken_pictures,
    look,
    two_animals,
    wrong_boxes,
)
from keras_involution.whale_id.tables._check_values import (
    formulas,
    other_spellings,
    repeated_ids,
    unclear_dates,
    unknown_species,
)
from keras_involution.whale_id.tables._problem import WARNINGS as WARNINGS
from keras_involution.whale_id.tables._problem import Problem as Problem


def check_table(
    table: pd.DataFrame,
    *,
    workers: int | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> list[Problem]:
    """Every broken row of a table, with the reason. Every picture is decoded.

    Args:
        table: DataFrame as `read_table` gives it.
        workers: Integer, pictures that are decoded at once; `None` is one for each
            processor.
        progress: Function that passes on what it is given, one item a picture.

    Returns:
        List of `Problem`, by row. A picture counts as the same where the bytes of the
        files are, and then it may be in the table twice under two animals only with
        two different boxes. A "formula" is an `image_id` or `identity` that is right,
        but that a spreadsheet would run; a "spelling" an `identity` that differs from a
        more frequent one in capitals, blanks, hyphens or the encoding of accents alone.

    Raises:
        ValueError: If `workers` is no positive integer.

    Example:

    >>> from keras_involution.whale_id import check_table, from_wildlife
    >>> import pandas as pd
    >>> df = {"image_id": ["1"], "identity": ["A"], "path": ["nowhere.jpg"]}
    >>> check_table(from_wildlife(pd.DataFrame(df), "/photographs"))[0].kind
    'missing'
    """
    if workers is not None:
        positive_integer(workers, "workers")
    paths = list(dict.fromkeys(table["path"]))
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        pictures = dict(zip(paths, progress(pool.map(look, paths))))
    found = [
        *broken_pictures(table, pictures),
        *wrong_boxes(table, pictures),
        *two_animals(table, pictures),
        *repeated_ids(table),
        *unknown_species(table),
        *unclear_dates(table),
        *formulas(table),
        *other_spellings(table),
    ]
    place = {row: i for i, row in enumerate(table.index)}
    return sorted(found, key=lambda problem: place[problem.row])
