"""Scores of pairs of photos, computed block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from keras_involution.whale_id.embeddings import Embeddings
from keras_involution.whale_id.fusion.scorers import Scorer
from keras_involution.whale_id.fusion.sides import compatible_sides
from keras_involution.whale_id.splits.encounters import find_encounters

LEAVE_OUT = ("nothing", "photo", "encounter")
RELATIVE = ", relative to the shortlist"
_BLOCK_VALUES = 2**22


@dataclass(frozen=True)
class PairScores:
    """Scores of a block of queries against the whole database.

    Attributes:
        values: Dictionary from the name of a scorer to its scores (B, N).
        allowed: Boolean array (B, N), the pairs that may be compared.
        listed: Boolean array (B, N), the pairs of the shortlist.
    """

    values: dict[str, np.ndarray]
    allowed: np.ndarray
    listed: np.ndarray

    def relative(self) -> dict[str, np.ndarray]:
        """The scores in standard deviations above the mean of the query's shortlist."""
        return {
            name + RELATIVE: _standardized(values, self.listed)
            for name, values in self.values.items()
        }

    def evidence(self) -> dict[str, np.ndarray]:
        """The values to calibrate: absolute scores and scores within the shortlist."""
        return self.values | self.relative()


@dataclass(frozen=True)
class Comparison:
    """Compares queries with a database.

    Attributes:
        database: `Embeddings` of N known photos.
        scorers: Sequence of `Scorer`; the first makes the shortlist.
        shortlist: Number of photos per query that all scorers compare.
        sides: `"own"` compares left sides only with left sides and unknown sides;
            `"any"` compares all.
    """

    database: Embeddings
    scorers: Sequence[Scorer]
    shortlist: int
    sides: str

    def blocks(
        self, queries: Embeddings, leave_out: str = "nothing"
    ) -> Iterator[PairScores]:
        """The scores of queries, block by block to limit memory."""
        size = max(1, _BLOCK_VALUES // max(len(self.database), 1))
        encounters = _encounters(queries, self.database, leave_out)
        for start in range(0, len(queries), size):
            part = queries.rows(range(start, min(start + size, len(queries))))
            allowed = self._allowed(part, leave_out)
            if encounters is not None:
                asked, known = encounters
                allowed &= asked[start : start + size, None] != known[None]
            yield self._scored(part, allowed)

    def _allowed(self, queries: Embeddings, leave_out: str) -> np.ndarray:
        allowed = np.ones((len(queries), len(self.database)), bool)
        if self.sides == "own":
            allowed &= compatible_sides(queries.table, self.database.table)
        if leave_out != "nothing":
            ids = (t["image_id"].astype(str).to_numpy(object) for t in (
                queries.table, self.database.table))  # fmt: skip
            asked, known = ids
            allowed &= asked[:, None] != known[None]
        return allowed

    def _scored(self, queries: Embeddings, allowed: np.ndarray) -> PairScores:
        first, *others = self.scorers
        values = {first.name: first(queries, self.database, None)}
        count = min(self.shortlist, allowed.shape[1])
        order = np.argpartition(
            np.where(allowed, -values[first.name], np.inf), count - 1, axis=1
        )[:, :count]
        listed = np.zeros(allowed.shape, bool)
        np.put_along_axis(listed, order, True, axis=1)
        listed &= allowed
        pairs = np.argwhere(listed)
        for scorer in others:
            scores = np.zeros(allowed.shape, "float32")
            scores[listed] = scorer(queries, self.database, pairs)
            values[scorer.name] = scores
        return PairScores(values, allowed, listed)


def _encounters(
    queries: Embeddings, database: Embeddings, leave_out: str
) -> tuple[np.ndarray, np.ndarray] | None:
    if leave_out != "encounter":
        return None
    both = pd.concat([queries.table, database.table], ignore_index=True)
    names = find_encounters(both).names.to_numpy(object)
    return names[: len(queries)], names[len(queries) :]


def _standardized(values: np.ndarray, listed: np.ndarray) -> np.ndarray:
    """Standard deviations above the mean of the shortlist, for each query."""
    count = np.maximum(listed.sum(axis=1, keepdims=True), 1)
    mean = np.where(listed, values, 0).sum(axis=1, keepdims=True) / count
    squares = np.where(listed, (values - mean) ** 2, 0).sum(axis=1, keepdims=True)
    return (values - mean) / np.maximum(np.sqrt(squares / count), 1e-6)
