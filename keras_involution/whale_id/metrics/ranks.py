"""Metrics of the rank of the right animal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_involution._arguments import positive_integer, received


def average_precisions(
    truths: Sequence[str], predictions: Sequence[Any], k: int = 5
) -> np.ndarray:
    """The average precision at `k` of every query, as computed by Kaggle.

    It is 1 / rank of the right label, counted from 1, if it is among the first `k`
    labels, and otherwise 0. Repeated labels occupy ranks but count once.

    Args:
        truths: Sequence of Q identities.
        predictions: Sequence of Q sequences of labels, best first, of any length, such
            as the labels of a `Ranking`; or of strings of labels separated by spaces.
        k: Integer.

    Returns:
        Array (Q,) of float64.

    Raises:
        ValueError: If there are not as many predictions as truths.

    Example:

    >>> from keras_involution.whale_id.metrics import average_precisions
    >>> average_precisions(["A", "A", "A"], ["A B C", "B B A", "B C"]).round(3)
    array([1.   , 0.333, 0.   ])
    """
    positive_integer(k, "k")
    ranks = ranks_of(truths, predictions)
    return np.where(ranks < k, 1 / (1 + ranks), 0.0)


def map_at_5(truths: Sequence[str], predictions: Sequence[Any]) -> float:
    """MAP@5 as in Kaggle's competitions: the mean of `average_precisions`.

    Args:
        truths: Sequence of Q identities; for a query of an animal that is not in the
            database, the label of new animals.
        predictions: As in `average_precisions`.

    Returns:
        Float; `nan` without queries.

    Raises:
        ValueError: If there are not as many predictions as truths.

    Example:

    >>> from keras_involution.whale_id import map_at_5
    >>> map_at_5(["A", "B"], [["A", "B"], ["A", "B"]])
    0.75
    """
    return mean(average_precisions(truths, predictions))


def cumulative_match(
    truths: Sequence[str],
    predictions: Sequence[Any],
    ranks: Sequence[int] = (1, 5, 10),
) -> dict[int, float]:
    """The fractions of queries whose animal is among the first 1, 5, 10 labels.

    Args:
        truths: Sequence of Q identities.
        predictions: As in `average_precisions`.
        ranks: Sequence of integers.

    Returns:
        Dictionary from rank to fraction.

    Raises:
        ValueError: If there are not as many predictions as truths.

    Example:

    >>> from keras_involution.whale_id.metrics import cumulative_match
    >>> cumulative_match(["A", "B"], ["A C B", "A C B"], ranks=(1, 3))
    {1: 0.5, 3: 1.0}
    """
    found = ranks_of(truths, predictions)
    return {rank: mean(found < rank) for rank in ranks}


def ranks_of(truths: Sequence[str], predictions: Sequence[Any]) -> np.ndarray:
    """The rank of the right label from 0, infinite if it is missing: (Q,)."""
    if len(truths) != len(predictions):
        raise ValueError(
            "There must be as many predictions as truths. "
            f"{received(truths=len(truths), predictions=len(predictions))}"
        )
    return np.array([_rank(t, p) for t, p in zip(truths, predictions)], "float64")


def mean(values: np.ndarray) -> float:
    """The mean; `nan` without a warning if there are no values."""
    return float(np.mean(values)) if len(values) else float("nan")


def _rank(truth: str, labels: Any) -> float:
    labels = labels.split() if isinstance(labels, str) else list(labels)
    return labels.index(truth) if truth in labels else np.inf
