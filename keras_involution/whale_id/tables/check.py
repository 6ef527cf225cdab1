"""Finds the problems of a table, row by row."""

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
    """Finds every broken row of a table, with the reason. Every image is decoded.

    Args:
        table: DataFrame as returned by `read_table`.
        workers: Integer, number of images decoded at once; `None` uses one per
            processor.
        progress: Function that takes an iterable of one item per image and returns it,
            for a progress bar.

    Returns:
        List of `Problem`, sorted by row. Two images are the same if their files have
        the same bytes. The same image may belong to two animals only with two different
        boxes. A "formula" is a valid `image_id` or `identity` that a spreadsheet would
        run. A "spelling" is an `identity` that differs from a more frequent one only in
        case, spaces, hyphens, the encoding of accents, or letters that look alike.
        "letters" are invisible characters, or letters of several alphabets, in one
        `identity`.

    Raises:
        ValueError: If `workers` is not a positive integer.

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
