"""Calibration metrics: whether probabilities match the accuracy."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from keras_involution._arguments import positive_integer, received

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability_table(
    probabilities: np.ndarray, right: np.ndarray, bins: int = 10
) -> pd.DataFrame:
    """The reliability diagram as a table.

    Args:
        probabilities: Array (N,), from 0 to 1.
        right: Boolean array (N,), whether each answer is right.
        bins: Integer, number of groups of about equal size, by descending probability.

    Returns:
        DataFrame with one row per group: `probability`, the mean probability; `right`,
        the fraction of right answers; and `n`.

    Raises:
        ValueError: If the lengths differ, or a value is not a probability.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.metrics import reliability_table
    >>> said, right = np.array([0.1, 0.2, 0.9, 0.8]), np.array([0, 0, 1, 1])
    >>> table = reliability_table(said, right, bins=2)
    >>> table["right"].tolist()
    [0.0, 1.0]
    """
    positive_integer(bins, "bins")
    said, true = np.asarray(probabilities, "float64"), np.asarray(right, "float64")
    inside = bool(((said >= 0) & (said <= 1)).all())
    if said.shape != true.shape or said.ndim != 1 or not inside:
        raise ValueError(
            "There must be one probability from 0 to 1 per answer. "
            f"{received(probabilities=said.shape, right=true.shape, inside=inside)}"
        )
    order = np.argsort(said, kind="stable")
    groups = [g for g in np.array_split(order, min(bins, max(len(said), 1))) if len(g)]
    rows = [(said[g].mean(), true[g].mean(), len(g)) for g in groups]
    return pd.DataFrame(rows, columns=["probability", "right", "n"])


def calibration_error(
    probabilities: np.ndarray, right: np.ndarray, bins: int = 10
) -> float:
    """The expected calibration error (ECE).

    It is the mean difference between probability and accuracy, over groups of about
    equal size.

    Args:
        probabilities: Array (N,), from 0 to 1.
        right: Boolean array (N,), whether each answer is right.
        bins: Integer, number of groups.

    Returns:
        Float; `nan` without answers.

    Raises:
        ValueError: As for `reliability_table`.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.metrics import calibration_error
    >>> calibration_error(np.array([0.5] * 4), np.array([0, 1, 0, 1]), bins=1)
    0.0
    """
    table = reliability_table(probabilities, right, bins)
    if not table["n"].sum():
        return float("nan")
    gaps = (table["probability"] - table["right"]).abs()
    return float(np.average(gaps, weights=table["n"]))


def plot_reliability(table: pd.DataFrame) -> Figure:
    """The reliability diagram as a matplotlib figure.

    Args:
        table: DataFrame as returned by `reliability_table`.

    Returns:
        `matplotlib.figure.Figure` with the diagonal and one point per group, with the
        interval that contains 95 % of the fractions for its probability and size.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id import metrics
    >>> table = metrics.reliability_table(np.array([0.1, 0.9]), np.array([0, 1]), 2)
    >>> metrics.plot_reliability(table).savefig("reliability.png")  # doctest: +SKIP
    """
    from matplotlib.figure import Figure
    from scipy.stats import binom

    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfectly calibrated")
    said, right, n = (table[name].to_numpy() for name in ("probability", "right", "n"))
    low, high = binom.interval(0.95, n, said)
    axes.vlines(
        said, low / n, high / n, color="0.85", linewidth=6, label="95 % interval"
    )
    axes.plot(said, right, "o-", color="#14566b", label="answers")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="probability of the first answer", ylabel="fraction that is right")
    axes.legend(loc="upper left", frameon=False)
    return figure


def require_matplotlib() -> None:
    """Raises `ValueError` if matplotlib is missing, before any work."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError(
            'Plots need matplotlib: pip install "keras-involution[plots]". '
            f"{received(matplotlib=None)}"
        )
