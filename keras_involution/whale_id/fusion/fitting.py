"""Fits the calibration of a matcher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_involution.whale_id.fusion.calibration import (
    AnswerModel,
    FusionCalibration,
    ScoreCurve,
    fused_probabilities,
)
from keras_involution.whale_id.retrieve.ranking import best_columns

LEAST_PAIRS = 10
LEAST_QUERIES = 10
_ANSWERS = 10
_FOLDS = 5


def fit_fusion(
    matcher: Any,
    blocks: Sequence[Any],
    truths: np.ndarray,
    said: str,
) -> tuple[FusionCalibration | None, str]:
    """Fits the calibration of a matcher; returns `None` and a reason if it cannot.

    Args:
        matcher: `Matcher`.
        blocks: Sequence of `PairScores` of all queries, in their order.
        truths: Array (Q,) of identities.
        said: String, a description of the queries.

    Returns:
        Tuple of `FusionCalibration` or `None`, and a string.
    """
    if not blocks:
        return None, f"no calibration: {said} have keypoints"
    parts = [block.evidence() for block in blocks]
    evidence = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    allowed, listed = (
        np.concatenate([getattr(b, name) for b in blocks])
        for name in ("allowed", "listed")
    )
    codes = _codes(matcher.classes, truths)
    same = codes[:, None] == matcher.codes[None]
    ones, twos = int(same[listed].sum()), int((~same)[listed].sum())
    if min(ones, twos) < LEAST_PAIRS or len(truths) < LEAST_QUERIES:
        return None, (
            f"no calibration: {said} give {ones} pairs of one animal and {twos} pairs "
            f"of two animals; {LEAST_PAIRS} of each are needed"
        )
    curves = _curves(evidence, listed, same, f"{ones + twos} pairs of {said}")
    fused = np.where(allowed, _held_out(evidence, listed, same, truths), -np.inf)
    answers = _answers(matcher, fused, codes, said)
    return FusionCalibration(curves, answers, answers.protocol), ""


def _codes(classes: Sequence[str], truths: np.ndarray) -> np.ndarray:
    """The class number of each animal, -1 for animals that are not a class."""
    codes = np.searchsorted(classes, truths)
    codes = np.minimum(codes, len(classes) - 1)
    return np.where(np.asarray(classes, object)[codes] == truths, codes, -1)


def _curves(
    evidence: dict[str, np.ndarray], listed: np.ndarray, same: np.ndarray, said: str
) -> dict[str, ScoreCurve]:
    return {
        name: ScoreCurve.fit(values[listed], same[listed], said)
        for name, values in evidence.items()
    }


def _held_out(
    evidence: dict[str, np.ndarray],
    listed: np.ndarray,
    same: np.ndarray,
    truths: np.ndarray,
) -> np.ndarray:
    """The fused scores of queries, by curves fitted without their animals.

    Curves fit the pairs that they were fitted on too well. An answer model that learns
    from these scores would be overconfident.
    """
    from sklearn.model_selection import GroupKFold

    animals = len(np.unique(truths))
    if animals < 2:
        return fused_probabilities(_curves(evidence, listed, same, ""), evidence)
    fused = np.empty(listed.shape, "float32")
    folds = GroupKFold(min(_FOLDS, animals))
    for others, own in folds.split(truths, groups=truths):
        seen = {name: values[others] for name, values in evidence.items()}
        curves = _curves(seen, listed[others], same[others], "")
        held = {name: values[own] for name, values in evidence.items()}
        fused[own] = fused_probabilities(curves, held)
    return fused


def _answers(
    matcher: Any, fused: np.ndarray, codes: np.ndarray, said: str
) -> AnswerModel:
    """Fits the model of the probabilities that an answer is right, or that none is."""
    scores, _ = matcher.animal_scores(fused)
    reachable = np.isfinite(scores[np.arange(len(scores)), codes]) & (codes >= 0)
    columns = best_columns(scores, min(_ANSWERS, scores.shape[1]))
    taken = np.take_along_axis(scores, columns, axis=1)
    right = columns == codes[:, None]
    ranks = np.where(right.any(axis=1), right.argmax(axis=1), _ANSWERS)
    usable, is_new = np.isfinite(taken[:, 0]), ~reachable
    protocol = f"{said}, {is_new[usable].mean():.0%} of them new"
    return AnswerModel.fit(taken[usable], ranks[usable], is_new[usable], protocol)
