"""Writes rankings as tables and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_involution._arguments import received
from keras_involution._files import atomic_write
from keras_involution.whale_id.retrieve.ranking import Ranking
from keras_involution.whale_id.tables.write import write_csv

SUFFIXES = (".csv", ".npz", ".parquet")


def results_table(
    ranking: Ranking,
    queries: pd.DataFrame,
    database: pd.DataFrame | None = None,
    confidence: np.ndarray | None = None,
) -> pd.DataFrame:
    """Converts a ranking to a table with one row for each query and animal.

    Args:
        ranking: `Ranking` of Q queries and K animals.
        queries: DataFrame, the table of the Q queries.
        database: DataFrame, the table that `ranking.images` indexes; `None` omits the
            photos.
        confidence: Array (Q, K), the probabilities.

    Returns:
        DataFrame with `image_id`, `rank` from 1, `identity` and `score`, and if known
        `confidence` and `candidate`, the `image_id` of the most similar photo.

    Raises:
        ValueError: If the numbers of queries and rankings differ.
    """
    count, top = ranking.labels.shape
    if len(queries) != count:
        raise ValueError(
            "`queries` must have one row per query of the ranking. "
            f"{received(queries=len(queries), ranking=count)}"
        )
    columns = {
        "image_id": queries["image_id"].to_numpy(object).repeat(top),
        "rank": np.tile(np.arange(1, top + 1), count),
        "identity": ranking.labels.ravel(),
        "score": ranking.scores.ravel(),
    }
    if confidence is not None:
        columns["confidence"] = np.asarray(confidence).ravel()
    if database is not None and ranking.images is not None:
        ids = np.append(database["image_id"].to_numpy(object), "")
        columns["candidate"] = ids[ranking.images.ravel()]
    return pd.DataFrame(columns)


def write_results(
    results: pd.DataFrame, path: str | Path, *, force: bool = False
) -> None:
    """Writes a `results_table` as CSV, parquet or npz (one array per column).

    Raises:
        ValueError: If the suffix is unknown, or the file exists and `force` is false.
    """
    with atomic_write(path, force, SUFFIXES) as draft:
        suffix = draft.suffix.lower()
        if suffix == ".csv":
            write_csv(results, draft)
        elif suffix == ".parquet":
            results.to_parquet(draft, index=False)
        else:
            with open(draft, "wb") as file:
                arrays: dict[str, Any] = {str(n): _array(results[n]) for n in results}
                np.savez(file, **arrays)


def _array(column: pd.Series) -> np.ndarray:
    """Converts text to fixed-width strings, so that no pickle is needed."""
    values = column.to_numpy()
    return values if values.dtype.kind in "if" else values.astype(str)
