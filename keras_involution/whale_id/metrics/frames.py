"""The distance of a query to the nearest training photo of its animal, in frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

from keras_involution._arguments import received

# Names and upper bounds of the rows.
BANDS = (("<= 1", 1), ("2 to 4", 4), ("5 to 9", 9), (">= 10", np.inf))
UNKNOWN_BAND = "not known"


def frame_distances(
    queries: pd.DataFrame, database: pd.DataFrame, column: str = "photo_number"
) -> np.ndarray:
    """The distance to the nearest photo of the animal by the camera's frame counter.

    Frames of one burst are nearly the same image. Queries at a distance of ten frames
    or more show how well a model works on another day.

    Args:
        queries: DataFrame, a table of Q photos with the camera's counter.
        database: DataFrame, a table with the same column.
        column: String, the column of the counter; values that are not numbers are
            unknown.

    Returns:
        Array (Q,) of float64; `nan` if a counter or the animal is not known.

    Raises:
        ValueError: If the column is missing.

    Example:

    >>> import pandas as pd
    >>> from keras_involution.whale_id.metrics import frame_distances
    >>> database = pd.DataFrame({"identity": ["A", "A"], "photo_number": [10, 40]})
    >>> queries = pd.DataFrame({"identity": ["A", "B"], "photo_number": [13, 10]})
    >>> frame_distances(queries, database)
    array([ 3., nan])
    """
    for table in (queries, database):
        if column not in table:
            raise ValueError(f"The column does not exist. {received(column=column)}")
    numbers = _numbers(database[column])
    own = {a: n[~np.isnan(n)] for a, n in numbers.groupby(database["identity"])}
    result = np.full(len(queries), np.nan)
    places = zip(queries["identity"], _numbers(queries[column]))
    for row, (animal, number) in enumerate(places):
        others = own.get(animal, np.array([]))
        if len(others) and not np.isnan(number):
            result[row] = np.abs(np.asarray(others) - number).min()
    return result


def bands(distances: np.ndarray) -> dict[str, np.ndarray]:
    """Masks (Q,) of the rows "<= 1", "2 to 4", "5 to 9", ">= 10" and "not known"."""
    masks, below = {}, -np.inf
    for name, bound in BANDS:
        masks[name] = (distances > below) & (distances <= bound)
        below = bound
    return masks | {UNKNOWN_BAND: np.isnan(distances)}


def _numbers(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column, errors="coerce").astype("float64")
