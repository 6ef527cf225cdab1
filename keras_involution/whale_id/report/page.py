"""The report page for reviewing answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_involution._arguments import positive_integer, received
from keras_involution._files import check_outputs
from keras_involution.whale_id.pages import SUFFIXES, Thumbnails, render, write_page
from keras_involution.whale_id.report.content import Matches, report_content
from keras_involution.whale_id.report.heatmaps import Heatmaps
from keras_involution.whale_id.retrieve import Ranking


def write_report(
    ranking: Ranking,
    queries: pd.DataFrame,
    database: pd.DataFrame,
    path: str | Path,
    *,
    top: int = 5,
    confidence: np.ndarray | None = None,
    notes: Sequence[str] | None = None,
    matches: Matches | None = None,
    heatmaps: Heatmaps | None = None,
    title: str = "Which animal is it?",
    protocol: str = "",
    on_error: str = "skip",
    warn: Callable[[str], Any] | None = None,
    force: bool = False,
) -> list[str]:
    """Writes one HTML file that shows each query next to its most likely animals.

    The page shows all photos of each candidate animal. A reviewer accepts an animal,
    rejects it, or marks the query as a new animal, with the mouse or the keyboard. The
    browser stores the decisions and saves them as a CSV file for `apply_decisions`. In
    this file, a name that a spreadsheet would run as a formula starts with an
    apostrophe.

    The file is self-contained and needs no network. It contains each photo once. Photos
    are smaller if there are many: 640 pixels for up to 100 photos, 192 for more than
    1,000.

    Args:
        ranking: `Ranking` (Q, K) with `images`, as returned by `identify`, with or
            without the label of new animals.
        queries: DataFrame, the table of the Q queries.
        database: DataFrame, the table that `ranking.images` indexes.
        path: File.
        top: Integer, number of animals to show for each query.
        confidence: Array (Q, K), the probabilities. Without it the page shows ranks
            and scores, but no percentages. The same holds for rows of NaN.
        notes: Sequence of Q strings, such as `Candidates.notes`: the condition of the
            percentages of a query, or the reason why it has none.
        matches: Function from a row of `queries` and one of `database` to an array
            (M, 4) of matched points, x and y in each photo as fractions of its width
            and height; `None` draws no points.
        heatmaps: `Heatmaps` of queries and database.
        title: String.
        protocol: String, how scores and confidence were computed.
        on_error: String. If a photo cannot be read, `"skip"` shows its name instead,
            and `"stop"` raises an error.
        warn: Function that is called with a message for every photo that cannot be
            read.
        force: Boolean, whether to replace an existing file.

    Returns:
        List of strings, the photos that cannot be read and the reasons.

    Raises:
        ValueError: If the sizes do not match, the name does not end in `.html`, the
            file exists and `force` is false, or a photo cannot be read and `on_error`
            is "stop".
    """
    check_outputs(force, path=(path, SUFFIXES))
    _check(ranking, queries, confidence)
    thumbnails = Thumbnails(on_error, warn)
    data = report_content(
        ranking,
        queries,
        database,
        thumbnails,
        top=positive_integer(top, "top"),
        confidence=None if confidence is None else np.asarray(confidence),
        notes=[""] * len(ranking) if notes is None else notes,
        matches=matches,
        heatmaps=heatmaps,
    )
    page = render(
        "report",
        title=title,
        protocol=protocol,
        key=_key(title, queries, ranking),
        queries=data["queries"],
        maps=heatmaps is not None,
        data=data,
    )
    write_page(path, page, force=force)
    return thumbnails.skipped


def _key(title: str, queries: pd.DataFrame, ranking: Ranking) -> str:
    """The key under which the browser stores the decisions, unique for each page."""
    parts = [title, *queries["image_id"].astype(str)]
    parts += [str(label) for label in ranking.labels.ravel()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _check(
    ranking: Ranking, queries: pd.DataFrame, confidence: np.ndarray | None
) -> None:
    shape = None if confidence is None else np.shape(confidence)
    if ranking.images is None or len(queries) != len(ranking):
        raise ValueError(
            "`ranking` must have `images`, and `queries` must have one row per query. "
            f"{received(ranking=len(ranking), queries=len(queries))}"
        )
    if shape not in (None, ranking.labels.shape):
        raise ValueError(
            "`confidence` must have the same shape as the ranking. "
            f"{received(confidence=shape, ranking=ranking.labels.shape)}"
        )
