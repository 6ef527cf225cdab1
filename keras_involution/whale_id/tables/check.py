"""What is wrong with a table, row by row."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from keras_involution._arguments import positive_integer
from keras_involution.whale_id.tables._check_images import (
    broken_images,
    look,
    two_animals,
    wrong_boxes,
)
from keras_involution.whale_id.tables._check_values import (
    formulas,
    other_spellings,
    repeated_ids,
    strange_letters,
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
    """Every broken row of a table, with the reason. Every image is decoded.

    Args:
        table: DataFrame as `read_table` gives it.
        workers: Integer, images that are decoded at once; `None` is one for each
            processor.
        progress: Function that passes on what it is given, one item an image.

    Returns:
        List of `Problem`, by row. An image counts as the same where the bytes of the
        files are, and then it may be in the table twice under two animals only with
        two different boxes. A "formula" is an `image_id` or `identity` that is right,
        but that a spreadsheet would run; a "spelling" an `identity` that differs from a
        more frequent one in capitals, blanks, hyphens, the encoding of accents, or
        letters that look alike; "letters" are ones that nobody sees or of several
        alphabets in one `identity`.

    Raises:
        ValueError: If `workers` is no positive integer.

    Example:

    >>> from keras_involution.whale_id import check_table, from_wildlife
    >>> import pandas as pd
    >>> df = {"image_id": ["1"], "identity": ["A"], "path": ["nowhere.jpg"]}
    >>> check_table(from_wildlife(pd.DataFrame(df), "/photos"))[0].kind
    'missing'
    """
    if workers is not None:
        positive_integer(workers, "workers")
    paths = list(dict.fromkeys(table["path"]))
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        images = dict(zip(paths, progress(pool.map(look, paths))))
    found = [
        *broken_images(table, images),
        *wrong_boxes(table, images),
        *two_animals(table, images),
        *repeated_ids(table),
        *unknown_species(table),
        *unclear_dates(table),
        *formulas(table),
        *other_spellings(table),
        *strange_letters(table),
    ]
    place = {row: i for i, row in enumerate(table.index)}
    return sorted(found, key=lambda problem: place[problem.row])
