"""Converts scores to probabilities, for the fusion of several scorers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution._files import atomic_write, reading

SUFFIXES = (".json",)
_TIES = 1e-4


NEW, FIRST, LATER = "new", "first", "later"
_FLOOR = 0.01


@dataclass(frozen=True)
class AnswerModel:
    """Probabilities that each animal of a ranking is right, or that none is.

    A multinomial logistic regression, by scikit-learn, on the logarithm of the score of
    the best animal and its lead over the second. The outcomes are mutually exclusive:
    the animal is new, the first answer is right, or a later answer is right.

    Args:
        outcomes: Sequence of `"new"`, `"first"` and `"later"`; outcomes that did not
            occur are omitted.
        intercepts: Sequence of floats, one per outcome.
        coefficients: Sequence of sequences of 2 floats, one per outcome.
        found: Float, fraction of `"later"` queries whose right animal is listed.
        protocol: String, the data that it was fitted on.
    """

    outcomes: Sequence[str]
    intercepts: Sequence[float]
    coefficients: Sequence[Sequence[float]]
    found: float
    protocol: str

    @property
    def knows_new(self) -> bool:
        """Whether the fit included both new and known animals."""
        return NEW in self.outcomes and len(self.outcomes) > 1

    def __call__(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities for the scores (Q, K) of rankings.

        Args:
            scores: Array (Q, K), descending in every row; minus infinity for no animal.

        Returns:
            Tuple of the probabilities of the animals (Q, K) and of a new animal (Q,).
        """
        by_outcome = self._outcomes(scores)
        weights = np.where(np.isfinite(scores), np.maximum(scores, 0) + _FLOOR, 0)
        weights[:, :1] = 0
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        animals = weights * (self.found * by_outcome[LATER])[:, None]
        if animals.shape[1]:
            animals[:, 0] = by_outcome[FIRST]
        # A later answer is never more likely than an earlier one.
        return np.minimum.accumulate(animals, axis=1), by_outcome[NEW]

    def _outcomes(self, scores: np.ndarray) -> dict[str, np.ndarray]:
        inputs = answer_inputs(scores)
        logits = np.asarray(self.intercepts) + inputs @ np.transpose(self.coefficients)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        values = powers / powers.sum(axis=1, keepdims=True)
        return {
            name: values[:, self.outcomes.index(name)]
            if name in self.outcomes
            else np.zeros(len(scores))
            for name in (NEW, FIRST, LATER)
        }

    @classmethod
    def fit(
        cls, scores: np.ndarray, ranks: np.ndarray, is_new: np.ndarray, protocol: str
    ) -> AnswerModel:
        """Fits the model to validation queries.

        Args:
            scores: Array (Q, K), descending in every row.
            ranks: Array (Q,), the rank of the right animal from 0; K or more if it is
                not in the ranking.
            is_new: Boolean array (Q,).
            protocol: String.

        Returns:
            `AnswerModel`.
        """
        from sklearn.linear_model import LogisticRegression

        truths = np.where(is_new, NEW, np.where(ranks == 0, FIRST, LATER))
        later = truths == LATER
        listed = (ranks < scores.shape[1])[later]
        found = float(listed.mean()) if later.any() else 0.0
        inputs = answer_inputs(scores)
        # Three artificial queries: one for each answer that is always possible, and one
        # without similarity to any animal, whose first answer is wrong.
        middle = np.repeat(inputs.mean(axis=0, keepdims=True), 2, axis=0)
        nothing = answer_inputs(np.zeros((1, 2)))
        inputs = np.concatenate([inputs, middle, nothing])
        truths = np.append(truths, [FIRST, LATER, NEW if is_new.any() else LATER])
        model = LogisticRegression(C=10.0, max_iter=1000).fit(inputs, truths)
        coefficients, intercepts = model.coef_, model.intercept_
        if len(model.classes_) == 2:
            # For two classes scikit-learn returns only the second one.
            coefficients = np.concatenate([0 * coefficients, coefficients])
            intercepts = np.append(0 * intercepts, intercepts)
        names = [str(name) for name in model.classes_]
        return cls(names, intercepts.tolist(), coefficients.tolist(), found, protocol)


def answer_inputs(scores: np.ndarray) -> np.ndarray:
    """Logarithm of the best animal's score, and its lead over the second: (Q, 2)."""
    scores = np.where(np.isfinite(scores), scores, 0.0).astype("float64")
    best = scores[:, 0] if scores.shape[1] else np.zeros(len(scores))
    second = scores[:, 1] if scores.shape[1] > 1 else np.zeros(len(scores))
    return np.stack([np.log(np.maximum(best, 0) + _FLOOR), best - second], axis=1)


@dataclass(frozen=True)
class ScoreCurve:
    """Maps a score to the probability that two photos show the same animal.

    Args:
        x: Sequence of floats, scores in ascending order.
        y: Sequence of floats, probabilities; interpolated linearly, and constant
            outside the range.
        protocol: String, the data that it was fitted on.

    Example:

    >>> from keras_involution.whale_id.fusion import ScoreCurve
    >>> ScoreCurve([0.2, 0.8], [0.0, 0.9], "by hand")([0.1, 0.5, 0.9])
    array([0.  , 0.45, 0.9 ])
    """

    x: Sequence[float]
    y: Sequence[float]
    protocol: str

    def __call__(self, scores: Sequence[float] | np.ndarray) -> np.ndarray:
        """Probabilities with the shape of `scores`."""
        return np.interp(np.asarray(scores, "float64"), self.x, self.y)

    @classmethod
    def fit(cls, scores: np.ndarray, same: np.ndarray, protocol: str) -> ScoreCurve:
        """Fits a non-decreasing curve by isotonic regression with scikit-learn.

        Args:
            scores: Array (P,) of pairs.
            same: Boolean array (P,), whether each pair shows the same animal.
            protocol: String.

        Returns:
            `ScoreCurve`.
        """
        from sklearn.isotonic import IsotonicRegression

        model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        model.fit(np.asarray(scores, "float64"), np.asarray(same, "float64"))
        x, y = model.X_thresholds_.tolist(), model.y_thresholds_.tolist()
        return cls(x, y, protocol)


@dataclass(frozen=True)
class FusionCalibration:
    """The parameters that a `Matcher` learns from pairs of photos and from queries.

    Args:
        scorers: Dictionary from the name of a scorer to its `ScoreCurve`, which gives
            the probability that two photos show the same animal.
        answers: `AnswerModel` for the probabilities of a ranking.
        protocol: String, the data that it was fitted on.
        conditions: Dictionary of JSON values, `Matcher.conditions` if it was fitted on
            photos of a database; empty if it was fitted on validation photos.
    """

    scorers: Mapping[str, ScoreCurve]
    answers: AnswerModel
    protocol: str
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def fused(self, scores: Mapping[str, np.ndarray]) -> np.ndarray:
        """The mean over all scorers of the probabilities of their scores.

        Args:
            scores: Dictionary of arrays of the same shape.

        Returns:
            Array of that shape.

        Raises:
            ValueError: If a scorer was not calibrated.
        """
        self.check(list(scores))
        return fused_probabilities(self.scorers, scores)

    def check(self, names: Sequence[str]) -> None:
        """Rejects scorers that were not calibrated.

        Args:
            names: Sequence of names of scorers.

        Raises:
            ValueError: If a scorer was not calibrated.
        """
        missing = sorted(set(names) - set(self.scorers))
        if missing:
            raise ValueError(
                "The calibration was fitted without these scorers. "
                f"{received(scorers=missing, calibrated=sorted(self.scorers))}"
            )

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Writes JSON.

        Raises:
            ValueError: If the name does not end in `.json`, or the file exists and
                `force` is false.
        """
        with atomic_write(path, force, SUFFIXES) as draft:
            draft.write_text(json.dumps(asdict(self)) + "\n", "utf-8")

    @classmethod
    def load(cls, path: str | Path) -> FusionCalibration:
        """Reads a file written by `save`.

        Raises:
            ValueError: If the file is missing or is not a calibration.
        """
        with reading(path, "The calibration"):
            content = json.loads(Path(path).read_text("utf-8"))
            scorers = {str(k): _curve(v) for k, v in content["scorers"].items()}
            answers, said = _model(content["answers"]), str(content["protocol"])
            return cls(scorers, answers, said, dict(content.get("conditions", {})))


def fused_probabilities(
    curves: Mapping[str, ScoreCurve], scores: Mapping[str, np.ndarray]
) -> np.ndarray:
    """The mean over all scorers of the probabilities of their scores."""
    values = [_probability(curves[name], s) for name, s in scores.items()]
    return np.mean(values, axis=0).astype("float32")


def _probability(curve: ScoreCurve, scores: np.ndarray) -> np.ndarray:
    # Isotonic regression has flat parts; the score itself breaks these ties.
    span = max(float(np.ptp(curve.x)), 1e-9)
    return curve(scores) + _TIES * np.clip((scores - curve.x[0]) / span, -1, 2)


def _curve(content: Mapping[str, Any]) -> ScoreCurve:
    x, y = ([float(v) for v in content[key]] for key in ("x", "y"))
    return ScoreCurve(x, y, str(content["protocol"]))


def _model(content: Mapping[str, Any]) -> AnswerModel:
    outcomes = [str(name) for name in content["outcomes"]]
    intercepts = np.asarray(content["intercepts"], "float64")
    coefficients = np.asarray(content["coefficients"], "float64")
    count = len(outcomes)
    if intercepts.shape != (count,) or coefficients.shape != (count, 2):
        raise ValueError("the answer model has the wrong shapes")
    return AnswerModel(
        outcomes,
        intercepts.tolist(),
        coefficients.tolist(),
        float(content["found"]),
        str(content["protocol"]),
    )
