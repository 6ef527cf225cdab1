"""Bootstrap intervals of metrics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_involution._arguments import positive_integer, received

Interval = tuple[float, float]


def bootstrap_interval(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], float] | None = None,
    *,
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The bootstrap interval of a metric over queries.

    Args:
        values: Array (Q, ...), one entry per query.
        statistic: Function from Q drawn entries to a float; `None` is the mean.
        repeats: Integer, number of bootstrap samples.
        level: Float, the fraction of samples within the interval.
        seed: Integer; the same seed gives the same interval.

    Returns:
        Tuple of 2 floats, percentiles of the samples; `nan` without queries.

    Raises:
        ValueError: If `level` is not between 0 and 1, or `repeats` is not a positive
            integer.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.metrics import bootstrap_interval
    >>> low, high = bootstrap_interval(np.arange(100) < 60)
    >>> round(low, 1), round(high, 1)
    (0.5, 0.7)
    """
    if not 0 < level < 1:
        raise ValueError(f"`level` must be between 0 and 1. {received(level=level)}")
    positive_integer(repeats, "repeats")
    values = np.asarray(values)
    if not len(values):
        return float("nan"), float("nan")
    compute = np.mean if statistic is None else statistic
    random = np.random.default_rng(seed)
    drawn = [
        float(compute(values[random.integers(0, len(values), len(values))]))
        for _ in range(repeats)
    ]
    ends = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(ends[0]), float(ends[1])


def paired_difference(
    first: np.ndarray,
    second: np.ndarray,
    *,
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, Interval]:
    """The mean difference of two models on the same queries, with its interval.

    Args:
        first: Array (Q,), the metric of each query with the first model, such as
            `average_precisions`.
        second: Array (Q,), the same with the second model.
        repeats: Integer, number of bootstrap samples.
        level: Float, the fraction of samples within the interval.
        seed: Integer.

    Returns:
        Tuple of the mean difference and its interval.

    Raises:
        ValueError: If the lengths differ.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.metrics import paired_difference
    >>> paired_difference(np.array([1.0, 0.5]), np.array([0.5, 0.0]))
    (0.5, (0.5, 0.5))
    """
    if np.shape(first) != np.shape(second):
        raise ValueError(
            "Both models must have the same queries. "
            f"{received(first=np.shape(first), second=np.shape(second))}"
        )
    gain = np.asarray(first, "float64") - np.asarray(second, "float64")
    interval = bootstrap_interval(gain, repeats=repeats, level=level, seed=seed)
    return float(np.mean(gain)) if len(gain) else float("nan"), interval
