"""The page on which a person decides."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
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
    matches: Matches | None = None,
    heatmaps: Heatmaps | None = None,
    title: str = "Which animal is it?",
    protocol: str = "",
    on_error: str = "skip",
    warn: Callable[[str], Any] | None = None,
    force: bool = False,
) -> list[str]:
    """Writes one HTML file with every query beside its most likely animals.

    The page shows all photos of each candidate animal. A person accepts an animal,
    rejects it, or marks the query as a new animal, with the mouse or the keyboard. The
    browser keeps the decisions and gives them as a CSV file for `apply_decisions`, in
    which a name that a spreadsheet would run as a formula has an apostrophe in front.

    Everything is inside the file; it needs no network. Each photo is in it once.
    The more photos there are, the smaller they are: 640 pixels for up to 100, 192
    for more than 1,000.

    Args:
        ranking: `Ranking` (Q, K) with `images`, as `identify` gives it, with or without
            the label of new animals.
        queries: DataFrame, the table of the Q queries.
        database: DataFrame, the table that `ranking.images` counts in.
        path: File.
        top: Integer, how many animals to show beside a query.
        confidence: Array (Q, K), the probabilities. Without it the page shows ranks
            and scores, and no percentage.
        matches: Function from a row of `queries` and one of `database` to an array
            (M, 4) of matched points, x and y in each photo as fractions of its
            width and height; `None` where there are none.
        heatmaps: `Heatmaps` of queries and database.
        title: String.
        protocol: String, how scores and confidence came about.
        on_error: String: a photo that cannot be read is named in its place
            (`"skip"`), or stops the work (`"stop"`).
        warn: Function that is told of every photo that cannot be read.
        force: Boolean, whether to replace a file that is there.

    Returns:
        List of strings, the photos that cannot be read, with the reasons.

    Raises:
        ValueError: If sizes do not fit, the name does not end in `.html`, the file is
            there and `force` is false, or a photo cannot be read and `on_error` is
            "stop".
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
    """Under what the browser keeps the decisions: another page, another key."""
    parts = [title, *queries["image_id"].astype(str)]
    parts += [str(label) for label in ranking.labels.ravel()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _check(
    ranking: Ranking, queries: pd.DataFrame, confidence: np.ndarray | None
) -> None:
    shape = None if confidence is None else np.shape(confidence)
    if ranking.images is None or len(queries) != len(ranking):
        raise ValueError(
            "`ranking` must have `images`, and `queries` one row for each query. "
            f"{received(ranking=len(ranking), queries=len(queries))}"
        )
    if shape not in (None, ranking.labels.shape):
        raise ValueError(
            "`confidence` must have the shape of the ranking. "
            f"{received(confidence=shape, ranking=ranking.labels.shape)}"
        )
