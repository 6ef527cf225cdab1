"""Matches photos with a database of known animals by several calibrated scorers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from keras_involution._arguments import one_of, positive_integer, received
from keras_involution.whale_id.config import TrainConfig
from keras_involution.whale_id.embeddings import Embeddings
from keras_involution.whale_id.fusion.calibration import FusionCalibration
from keras_involution.whale_id.fusion.candidates import Candidates
from keras_involution.whale_id.fusion.fitting import LEAST_QUERIES, fit_fusion
from keras_involution.whale_id.fusion.pairs import (
    LEAVE_OUT,
    RELATIVE,
    Comparison,
    PairScores,
)
from keras_involution.whale_id.fusion.scorers import (
    Scorer,
    default_scorers,
    have_evidence,
)
from keras_involution.whale_id.retrieve.ranking import Ranking, best_columns
from keras_involution.whale_id.splits._given import is_held_out
from keras_involution.whale_id.splits._units import in_hash_order
from keras_involution.whale_id.tables import UNKNOWN

REDUCTIONS = ("best", "several")
CALIBRATION_QUERIES = 100
"""Photos of the database that teach what a score means, where nothing else does:
benchmarks/RESULTS.md says how little more would change."""
_SEVERAL = 3


class Matcher:
    """Ranks the animals of a database for new photos.

    The first scorer compares a query with all photos and makes a shortlist; the other
    scorers compare it only with the shortlist. `fit` learns from known pairs the
    probability that two photos show the same animal, given a score and its lead over
    the rest of the shortlist. The score of a pair is the mean of these probabilities,
    and the score of an animal is the score of its best photos. Raw scores are never
    averaged: without `fit` they are first standardized over the shortlist of the query.

    Args:
        database: `Embeddings` of the known photos; unknown animals are left out.
        scorers: Sequence of `Scorer`; `None` uses the features, and the keypoints if
            they are stored with the embeddings.
        shortlist: Integer, number of photos per query that all scorers compare.
        reduce: String, the score of an animal: of its `"best"` photo, or the mean of up
            to three photos (`"several"`).
        sides: String, `"own"` compares left sides only with left sides and photos
            whose side is not known; `"any"` compares all.
        calibration: `FusionCalibration` of an earlier `fit`, or `None`.

    Raises:
        ValueError: If no animal is known, or an argument is unknown.

    Example:

    >>> import numpy as np, pandas as pd
    >>> from keras_involution.whale_id import Embeddings
    >>> from keras_involution.whale_id.fusion import Matcher
    >>> df = {"image_id": ["1", "2"], "identity": ["A", "B"], "path": ["1", "2"]}
    >>> database = Embeddings(np.eye(2), pd.DataFrame(df))
    >>> candidates = Matcher(database).rank(database.rows([1]))
    >>> candidates.ranking.labels.tolist(), candidates.probabilities is None
    ([['B', 'A']], True)

    Reference:
        Cermak et al., "WildFusion: Individual Animal Identification with Calibrated
        Similarity Fusion", https://arxiv.org/abs/2408.12934
    """

    def __init__(
        self,
        database: Embeddings,
        scorers: Sequence[Scorer] | None = None,
        *,
        shortlist: int = 300,
        reduce: str = "best",
        sides: str = "own",
        calibration: FusionCalibration | None = None,
    ) -> None:
        known = np.flatnonzero(database.table["identity"] != UNKNOWN)
        if not known.size:
            raise ValueError(
                "The database has no photo of a known animal. "
                f"{received(rows=len(database))}"
            )
        names = database.table["identity"].to_numpy(object)[known].astype(str)
        classes, codes = np.unique(names, return_inverse=True)
        order = np.argsort(codes, kind="stable")
        self.database = database.rows(known[order])
        self.rows = known[order]
        self.codes = codes[order]
        self.classes: tuple[str, ...] = tuple(classes.tolist())
        self.starts = np.searchsorted(self.codes, np.arange(len(classes)))
        self.scorers = list(default_scorers([database]) if scorers is None else scorers)
        if not self.scorers:
            raise ValueError(
                f"A matcher needs at least one scorer. {received(scorers=scorers)}"
            )
        self.reduce = one_of(reduce, REDUCTIONS, "reduce")
        self.comparison = Comparison(
            self.database,
            self.scorers,
            positive_integer(shortlist, "shortlist"),
            one_of(sides, ("own", "any"), "sides"),
        )
        if calibration is not None:
            used = [scorer.name for scorer in self.scorers]
            calibration.check([*used, *(name + RELATIVE for name in used)])
        self.calibration = calibration
        self.reason = "no calibration: ranks only" if calibration is None else ""

    @property
    def conditions(self) -> dict[str, Any]:
        """Values besides the scorers on which a calibration on the database depends."""
        return {
            "photos": len(self.database),
            "shortlist": self.comparison.shortlist,
            "sides": self.comparison.sides,
            "reduce": self.reduce,
            "settings": dict(self.database.settings),
        }

    def fit(
        self,
        queries: Embeddings | None = None,
        *,
        leave_out: str = "encounter",
        max_queries: int = CALIBRATION_QUERIES,
    ) -> Matcher:
        """Learns the probabilities of scores.

        Args:
            queries: `Embeddings` of validation photos with known identities that
                are not in the database. `None` uses photos of the database and compares
                each one with photos of other encounters. If the column `val_split` has
                enough photos that training held out, only these are used, because a
                network rates the photos of its training too high.
            leave_out: String, the part of the database that is ignored for a query:
                `"nothing"`, the `"photo"` itself, or its whole `"encounter"`.
            max_queries: Integer, maximum number of photos of the database to use.

        Returns:
            The matcher. If there are too few pairs, it has no calibration, and `reason`
            explains why.
        """
        own = queries is None
        if queries is None:
            ids = self.database.table["image_id"].astype(str)
            chosen = set(in_hash_order(ids[self._held_out()], 0)[:max_queries])
            queries = self.database.rows(ids.isin(chosen).to_numpy())
        queries = queries.rows(have_evidence(self.scorers, queries))
        source = "photos of the database, each without its encounter"
        said = f"{len(queries)} {source if own else 'validation photos'}"
        truths = queries.table["identity"].to_numpy(object).astype(str)
        blocks = list(self.comparison.blocks(queries, leave_out if own else "nothing"))
        fitted, reason = fit_fusion(self, blocks, truths, said)
        if fitted is not None and own:
            fitted = replace(fitted, conditions=self.conditions)
        self.calibration, self.reason = fitted, reason
        return self

    def _held_out(self) -> pd.Series:
        """Photos of the database that training held out, or all if there are few."""
        held_out = is_held_out(self.database.table, TrainConfig.held_out)
        return held_out if held_out.sum() >= LEAST_QUERIES else held_out | True

    def rank(
        self,
        queries: Embeddings,
        *,
        top: int = 10,
        leave_out: str = "nothing",
        encounters: Sequence[Any] | None = None,
    ) -> Candidates:
        """Ranks the animals that queries may show.

        Args:
            queries: `Embeddings` of Q photos.
            top: Integer, number of animals to keep.
            leave_out: String, the part of the database that is ignored for a query:
                `"nothing"`, the `"photo"` with its `image_id`, or its whole
                `"encounter"`.
            encounters: Sequence of Q values. Photos with the same value show the same
                animal and form one query, which has the mean of their scores. Photos
                without keypoints are ignored if others have keypoints. `None` treats
                each photo as a query.

        Returns:
            `Candidates` of the photos, or of the encounters in the order of their
            first photos.
        """
        one_of(leave_out, LEAVE_OUT, "leave_out")
        top = min(positive_integer(top, "top"), len(self.classes))
        groups, firsts = _groups(encounters, len(queries))
        evidence = have_evidence(self.scorers, queries)
        compared = np.bincount(groups, evidence, len(firsts)) > 0
        counted = evidence | ~compared[groups]
        sums = np.zeros((len(firsts), len(self.classes)), "float64")
        best = np.full(sums.shape, -np.inf, "float32")
        images = np.full(sums.shape, -1, "int32")
        counts = np.zeros(sums.shape, "int32")
        start = 0
        for block in self.comparison.blocks(queries, leave_out):
            animals, places = self.animal_scores(self.fused(block))
            for row, group in enumerate(groups[start : start + len(animals)]):
                usable = np.isfinite(animals[row]) & counted[start + row]
                sums[group] += np.where(usable, animals[row], 0)
                counts[group] += usable
                better = usable & (animals[row] > best[group])
                best[group, better] = animals[row, better]
                images[group, better] = self.rows[places[row, better]]
            start += len(animals)
        scores = np.where(counts > 0, sums / np.maximum(counts, 1), -np.inf)
        table = queries.table.iloc[firsts]
        return self._candidates(table, scores, images, top, compared)

    def fused(self, block: PairScores) -> np.ndarray:
        """One score per pair (B, N), minus infinity if it may not be compared."""
        if self.calibration is not None:
            values = self.calibration.fused(block.evidence())
        else:
            values = np.sum(list(block.relative().values()), axis=0)
        return np.where(block.allowed, values, -np.inf)

    def animal_scores(self, fused: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the animals (B, C), and the place of their best photos."""
        ends = np.append(self.starts[1:], len(self.codes))
        best = np.maximum.reduceat(fused, self.starts, axis=1)
        places = np.stack(
            [
                start + fused[:, start:end].argmax(axis=1)
                for start, end in zip(self.starts, ends)
            ],
            axis=1,
        )
        if self.reduce == "several":
            columns = [
                _mean_of_best(fused[:, start:end])
                for start, end in zip(self.starts, ends)
            ]
            best = np.stack(columns, axis=1)
        return best, places

    def _candidates(
        self,
        table: pd.DataFrame,
        scores: np.ndarray,
        images: np.ndarray,
        top: int,
        compared: np.ndarray,
    ) -> Candidates:
        columns = best_columns(scores, top)
        taken = np.take_along_axis(scores, columns, axis=1)
        labels = np.asarray(self.classes, object)[columns]
        labels[~np.isfinite(taken)] = ""
        found = np.take_along_axis(images, columns, axis=1)
        ranking = Ranking(labels, taken, np.where(labels == "", -1, found))
        table = table.reset_index(drop=True)
        if self.calibration is None:
            return Candidates(ranking, table, None, None, self.reason)
        answers = self.calibration.answers
        animals, new = answers(taken)
        animals[~compared], new[~compared] = np.nan, np.nan
        return Candidates(
            ranking,
            table,
            animals,
            new if answers.knows_new else None,
            self.calibration.protocol,
        )


def _groups(encounters: Sequence[Any] | None, count: int) -> tuple:
    """The query number of each photo, and the first row of each query."""
    if encounters is None:
        return np.arange(count), np.arange(count)
    values = pd.Series(list(encounters), dtype=object)
    if len(values) != count:
        raise ValueError(
            "`encounters` must have one value per query. "
            f"{received(encounters=len(values), queries=count)}"
        )
    empty = values.isna() | (values.astype(str).str.strip() == "")
    alone = pd.Series([f"alone {row}" for row in range(count)], dtype=object)
    names = alone.where(empty, "encounter " + values.astype(str))
    codes, _ = pd.factorize(names)
    firsts = np.flatnonzero(~names.duplicated().to_numpy())
    return codes, firsts


def _mean_of_best(scores: np.ndarray) -> np.ndarray:
    """The mean of the best finite scores of each row, at most three."""
    ordered = -np.sort(-scores, axis=1)[:, :_SEVERAL]
    finite = np.isfinite(ordered)
    total = np.where(finite, ordered, 0).sum(axis=1)
    return np.where(finite.any(axis=1), total / np.maximum(finite.sum(1), 1), -np.inf)
