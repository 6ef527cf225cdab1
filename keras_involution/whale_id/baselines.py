"""Methods without training, as baselines for trained models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from keras_involution.data.images import ImageError, read_image
from keras_involution.whale_id.embeddings import Embeddings, embed
from keras_involution.whale_id.fusion.matcher import Matcher
from keras_involution.whale_id.fusion.pairs import PairScores
from keras_involution.whale_id.fusion.scorers import FeatureScorer, Scorer
from keras_involution.whale_id.retrieve import Ranking
from keras_involution.whale_id.runs import load_run

PRESET = "rednet_26_tiny_imagenet"
_SIDE = 64
_CELLS: dict[str, Any] = {
    "orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2)
}  # fmt: skip
_NUMBERS = 7 * 7 * 2 * 2 * 9


def oriented_gradients(table: pd.DataFrame) -> np.ndarray:
    """Histograms of oriented gradients (HOG) of the photos of a table.

    Args:
        table: DataFrame with `path`, and `bbox` if there are boxes.

    Returns:
        Array (N, 1764); a row is constant if its photo cannot be read.
    """
    from PIL import Image
    from skimage.feature import hog

    boxes = table["bbox"] if "bbox" in table else [None] * len(table)
    rows = []
    for path, box in zip(table["path"], boxes):
        known = box if isinstance(box, list | tuple) else None
        try:
            image = read_image(path, (_SIDE, _SIDE), known)
            gray = Image.fromarray(image).convert("L")
            rows.append(hog(np.asarray(gray), **_CELLS))
        except ImageError:
            rows.append(np.zeros(_NUMBERS))
    return np.asarray(rows, "float32") + 1e-6


def rank_by_gradients(queries: Embeddings, database: Embeddings, top: int) -> Ranking:
    """Ranks by the cosine of oriented gradients."""
    asked, known = (
        Embeddings(oriented_gradients(e.table), e.table) for e in (queries, database)
    )
    return Matcher(known, [FeatureScorer(center=False)]).rank(asked, top=top).ranking


def rank_by_preset(queries: Embeddings, database: Embeddings, top: int) -> Ranking:
    """Ranks by the features of the included preset, without training."""
    network = load_run(PRESET).network
    asked, known = (
        embed(network, e.table, on_error="skip", flip="none")[0]
        for e in (queries, database)
    )
    found = Matcher(known).rank(asked, top=top).ranking
    # A photo that cannot be read has no answer.
    place = {name: row for row, name in enumerate(asked.table["image_id"])}
    rows = [place.get(name, -1) for name in queries.table["image_id"]]
    return _with_gaps(found, np.array(rows))


def _with_gaps(ranking: Ranking, rows: np.ndarray) -> Ranking:
    labels, scores = ranking.labels[rows], ranking.scores[rows]
    labels[rows < 0], scores[rows < 0] = "", -np.inf
    return Ranking(labels, scores)


def rank_by_one(
    queries: Embeddings,
    database: Embeddings,
    scorers: Sequence[Scorer],
    name: str,
    top: int,
    **options: Any,
) -> Ranking:
    """Ranks by one scorer alone, within the shortlist of the first scorer.

    Args:
        queries: `Embeddings`.
        database: `Embeddings`.
        scorers: Sequence of `Scorer`.
        name: String, the scorer to rank by.
        top: Integer.
        **options: Arguments of `Matcher`.

    Returns:
        `Ranking`.
    """
    matcher = _OneScorer(database, scorers, **options)
    matcher.name = name
    return matcher.rank(queries, top=top).ranking


class _OneScorer(Matcher):
    name = ""

    def fused(self, block: PairScores) -> np.ndarray:
        values = block.values[self.name]
        return np.where(block.allowed, values, -np.inf)
