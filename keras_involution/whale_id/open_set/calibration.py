"""From scores to the chance of being right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from keras_involution._arguments import one_of, positive_integer, received
from keras_involution._files import replaced_file
from keras_involution.whale_id.open_set.new_label import NEW_LABEL
from keras_involution.whale_id.retrieve import Ranking

METHODS = ("isotonic", "logistic")
SUFFIXES = (".json",)


@dataclass(frozen=True)
class Calibration:
    """The chance that an animal is the right one, given its score.

    Args:
        method: String, `"isotonic"`: linear between the points (`x`, `y`), constant
            beyond; or `"logistic"`: `1 / (1 + exp(-(y[0] + y[1] * score)))`.
        x: Sequence of floats, scores in ascending order; empty for `"logistic"`.
        y: Sequence of floats.
        protocol: String, what it was fitted on.

    Example:

    >>> from keras_involution.whale_id import Calibration
    >>> Calibration("isotonic", [0.2, 0.8], [0.0, 0.9], "by hand")([0.1, 0.5, 0.9])
    array([0.  , 0.45, 0.9 ])
    """

    method: str
    x: Sequence[float]
    y: Sequence[float]
    protocol: str

    def __call__(self, scores: Sequence[float] | np.ndarray) -> np.ndarray:
        """Chances in the shape of `scores`."""
        values = np.asarray(scores, "float64")
        if self.method == "logistic":
            return _sigmoid(self.y[0] + self.y[1] * values)
        return np.interp(values, self.x, self.y)

    def of(self, ranking: Ranking, new_label: str = NEW_LABEL) -> np.ndarray:
        """Chances (Q, K) of a ranking; `nan` for `new_label`, which has no score."""
        chances = self(ranking.scores)
        return np.where(ranking.labels == new_label, np.nan, chances)

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Writes JSON.

        Raises:
            ValueError: If the name does not end in `.json`, or the file is there and
                `force` is false.
        """
        with replaced_file(path, force, SUFFIXES) as draft:
            draft.write_text(json.dumps(asdict(self)) + "\n", "utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Reads what `save` wrote.

        Raises:
            ValueError: If the file is missing or something else.
        """
        try:
            content = json.loads(Path(path).read_text("utf-8"))
            x, y = (np.array(content[key], "float64").tolist() for key in ("x", "y"))
            method, protocol = content["method"], str(content["protocol"])
            one_of(method, METHODS, "method")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"The file holds no calibration: {error!r}. {received(path=str(path))}"
            ) from error
        return cls(method, x, y, protocol)


def fit_calibration(
    ranking: Ranking,
    truths: Sequence[str],
    method: str = "isotonic",
    *,
    top: int = 5,
    new_label: str = NEW_LABEL,
) -> Calibration:
    """Fits the chance of being right to validation queries.

    Every one of the first `top` animals of every query counts, right or wrong.

    Args:
        ranking: `Ranking` (Q, K) of known animals for the validation queries.
        truths: Sequence of Q labels, `new_label` for animals not in the database.
        method: String, `"isotonic"`: never falling with the score, any shape;
            `"logistic"`: smooth, for few queries.
        top: Integer.
        new_label: String.

    Returns:
        `Calibration`.

    Raises:
        ValueError: If there are no queries, not one truth for each, or `top` is no
            positive integer.

    Example:

    >>> from keras_involution.whale_id import Ranking, fit_calibration
    >>> ranking = Ranking([["A"], ["B"], ["B"]], [[0.9], [0.6], [0.1]])
    >>> calibration = fit_calibration(ranking, ["A", "B", "A"])
    >>> calibration([0.05, 0.95])
    array([0., 1.])
    """
    one_of(method, METHODS, "method")
    positive_integer(top, "top")
    if not len(ranking) or len(truths) != len(ranking):
        raise ValueError(
            "There must be validation queries, and a truth for each. "
            f"{received(ranking=len(ranking), truths=len(truths))}"
        )
    part = ranking.first(top)
    right = part.labels == np.asarray(list(truths), object)[:, None]
    scores = part.scores.astype("float64").ravel()
    fitted = _isotonic if method == "isotonic" else _logistic
    x, y = fitted(scores, right.ravel().astype("float64"))
    new = np.mean([truth == new_label for truth in truths])
    protocol = (
        f"{method}, the first {part.labels.shape[1]} animals of {len(ranking)} "
        f"validation queries, {new:.1%} of them new"
    )
    return Calibration(method, x, y, protocol)


def _isotonic(scores: np.ndarray, right: np.ndarray) -> tuple[list, list]:
    """Pool adjacent violators: means of blocks that never fall."""
    places, inverse = np.unique(scores, return_inverse=True)
    weights = np.bincount(inverse).astype("float64")
    means = np.bincount(inverse, right) / weights
    blocks: list[list[float]] = []  # mean, weight, first and last score
    for mean, weight, place in zip(means, weights, places):
        blocks.append([mean, weight, place, place])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            m, w, _, last = blocks.pop()
            block = blocks[-1]
            block[0] = (block[0] * block[1] + m * w) / (block[1] + w)
            block[1], block[3] = block[1] + w, last
    x = [place for _, _, first, last in blocks for place in {first: 0, last: 0}]
    y = [mean for mean, _, first, last in blocks for _ in {first: 0, last: 0}]
    return [float(v) for v in x], [float(v) for v in y]


def _logistic(scores: np.ndarray, right: np.ndarray) -> tuple[list, list]:
    """Newton's method on the log loss, with targets drawn in a little (Platt)."""
    count = right.sum()
    high, low = (count + 1) / (count + 2), 1 / (len(right) - count + 2)
    targets = np.where(right > 0, high, low)
    centre, spread = scores.mean(), max(scores.std(), 1e-6)
    inputs = np.stack([np.ones_like(scores), (scores - centre) / spread])
    weights = np.zeros(2)
    for _ in range(50):
        chances = _sigmoid(weights @ inputs)
        gradient = inputs @ (chances - targets) + 1e-6 * weights
        curvature = (inputs * (chances * (1 - chances))) @ inputs.T + 1e-6 * np.eye(2)
        weights = weights - np.linalg.solve(curvature, gradient)
    slope = weights[1] / spread
    return [], [float(weights[0] - slope * centre), float(slope)]


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(values / 2))
