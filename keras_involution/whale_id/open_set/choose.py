"""The threshold of new animals, from validation queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from keras_involution._arguments import one_of, positive_integer, received
from keras_involution.whale_id.metrics.ranks import ranks_of
from keras_involution.whale_id.open_set.new_label import NEW_LABEL
from keras_involution.whale_id.open_set.threshold import Threshold
from keras_involution.whale_id.retrieve import Ranking

METHODS = ("grid", "fraction", "species")
_STEPS = 201
_BISECTIONS = 40


def choose_threshold(
    ranking: Ranking,
    truths: Sequence[str],
    method: str = "grid",
    *,
    fraction: float | None = None,
    new_fraction: float | None = None,
    species: Sequence[Any] | None = None,
    least_queries: int = 30,
    new_label: str = NEW_LABEL,
) -> Threshold:
    """Chooses the threshold below which an animal is called new.

    On validation queries: what is chosen on the test queries says nothing about them.

    | `method` | the threshold |
    | --- | --- |
    | `"grid"` | with the best MAP@5 of 201 quantiles of the scores |
    | `"fraction"` | below which a fraction `fraction` of the queries is called new |
    | `"species"` | as `"grid"`, for each species with at least `least_queries` |

    Args:
        ranking: `Ranking` (Q, K) of known animals for the validation queries.
        truths: Sequence of Q labels, `new_label` for animals not in the database; see
            `open_truths`.
        method: String.
        fraction: Float between 0 and 1, for `"fraction"`.
        new_fraction: Float between 0 and 1, the fraction of new animals to expect:
            validation queries are weighted to it. `None` takes them as they are.
        species: Sequence of Q species, for `"species"`.
        least_queries: Integer; rarer species get the threshold of all.
        new_label: String.

    Returns:
        `Threshold` with its protocol and, over the grid, the curve of MAP@5.

    Raises:
        ValueError: If an argument is missing or out of range, without queries, or if
            no query is of a new animal.

    Example:

    >>> from keras_involution.whale_id import Ranking, choose_threshold
    >>> ranking = Ranking([["A", "B"], ["B", "A"]], [[0.9, 0.1], [0.4, 0.2]])
    >>> threshold = choose_threshold(ranking, ["A", "new_individual"])
    >>> 0.4 < threshold.value < 0.9
    True
    """
    one_of(method, METHODS, "method")
    positive_integer(least_queries, "least_queries")
    _check(ranking, truths, method, fraction, new_fraction, species)
    if new_label not in set(truths):
        raise ValueError(
            "A threshold of new animals can be chosen only where the validation has "
            "some: make it with `whale-id split --protocol open`. "
            f"{received(queries=len(ranking), new=0)}"
        )
    queries = _Queries(ranking, truths, new_label, new_fraction)
    everything = np.ones(len(ranking), bool)
    said = f"{len(ranking)} validation queries, {queries.is_new.mean():.1%} of them new"
    if new_fraction is not None:
        said += f", weighted to {new_fraction:.1%} new"
    curve = queries.curve(everything)
    if method == "fraction":
        assert fraction is not None
        value = _bisect(queries.scores[:, 0], fraction)
        protocol = f"fraction: {fraction:.1%} called new first, by bisection on {said}"
        return Threshold(value, protocol, curve=curve)
    value = _best(curve)
    protocol = f"grid: best MAP@5 of {len(curve)} thresholds on {said}"
    if method == "grid":
        return Threshold(value, protocol, curve=curve)
    protocol = f"for each species with {least_queries} queries, else all: {protocol}"
    return Threshold(
        value, protocol, _by_species(queries, species, least_queries), curve
    )


def _by_species(
    queries: _Queries, species: Sequence[Any] | None, least_queries: int
) -> dict[str, float]:
    names = pd.Series(list(species or ()), dtype=object)
    counts = names.value_counts()
    return {
        str(name): _best(queries.curve((names == name).to_numpy()))
        for name in counts.index[counts >= least_queries]
    }


class _Queries:
    """What the choice needs to know about the validation queries."""

    def __init__(
        self,
        ranking: Ranking,
        truths: Sequence[str],
        new_label: str,
        new_fraction: float | None,
    ) -> None:
        self.scores = ranking.scores[:, :5]
        self.is_new = np.array([truth == new_label for truth in truths])
        self.ranks = ranks_of(truths, list(ranking.labels[:, :5]))
        self.weights = np.ones(len(ranking))
        if new_fraction is not None:
            new = float(self.is_new.mean())
            if not 0 < new < 1:
                raise ValueError(
                    "`new_fraction` needs known and new validation queries. "
                    f"{received(new_fraction=new_fraction, fraction_of_new=new)}"
                )
            known_weight = (1 - new_fraction) / (1 - new)
            self.weights = np.where(self.is_new, new_fraction / new, known_weight)

    def average_precisions(self, threshold: float) -> np.ndarray:
        """(Q,), without making the rankings."""
        above = (self.scores >= threshold).sum(axis=1)
        places = np.where(self.ranks < above, self.ranks, self.ranks + 1)
        places = np.where(self.is_new, above, places)
        return np.where(places < 5, 1 / (1 + places), 0)

    def curve(self, chosen: np.ndarray) -> list[tuple[float, float, float]]:
        """(threshold, fraction called new first, MAP@5) of some of the queries."""
        scores, weights = self.scores[chosen], self.weights[chosen]
        points = []
        for threshold in _candidates(scores):
            earned = self.average_precisions(threshold)[chosen]
            called_new = float((scores[:, 0] < threshold).mean())
            value = float(np.average(earned, weights=weights))
            points.append((float(threshold), called_new, value))
        return points


def _candidates(scores: np.ndarray) -> np.ndarray:
    """Values between the scores, and one beyond either end."""
    values = np.unique(scores.astype("float64"))
    step = max(float(values[-1] - values[0]), 1e-3) / len(values)
    between = (values[1:] + values[:-1]) / 2
    values = np.concatenate([[values[0] - step], between, [values[-1] + step]])
    return np.unique(np.quantile(values, np.linspace(0, 1, _STEPS), method="nearest"))


def _best(curve: list[tuple[float, float, float]]) -> float:
    """The middle one of the best."""
    most = max(value for _, _, value in curve)
    best = [threshold for threshold, _, value in curve if value >= most - 1e-12]
    return best[len(best) // 2]


def _bisect(first_scores: np.ndarray, fraction: float) -> float:
    low, high = float(first_scores.min()) - 1e-3, float(first_scores.max()) + 1e-3
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if (first_scores < middle).mean() < fraction:
            low = middle
        else:
            high = middle
    return high


def _check(
    ranking: Ranking,
    truths: Sequence[str],
    method: str,
    fraction: float | None,
    new_fraction: float | None,
    species: Sequence[Any] | None,
) -> None:
    if not len(ranking) or len(truths) != len(ranking):
        raise ValueError(
            "There must be validation queries, and a truth for each. "
            f"{received(ranking=len(ranking), truths=len(truths))}"
        )
    if (fraction is None) == (method == "fraction") or not 0 < (fraction or 0.5) < 1:
        raise ValueError(
            '`fraction`, between 0 and 1, belongs to `method="fraction"`. '
            f"{received(method=method, fraction=fraction)}"
        )
    if new_fraction is not None and not 0 < new_fraction < 1:
        raise ValueError(
            "`new_fraction` must be between 0 and 1. "
            f"{received(new_fraction=new_fraction)}"
        )
    if method == "species" and (species is None or len(species) != len(ranking)):
        raise ValueError(
            '`method="species"` needs the species of every query. '
            f"{received(species=None if species is None else len(species))}"
        )
