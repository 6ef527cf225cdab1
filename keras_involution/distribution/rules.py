"""Scaling of the learning rate with the batch size."""

from __future__ import annotations

import math

from keras_involution import _arguments

LEARNING_RATES = ("linear", "square_root", "constant")


def scaled_learning_rate(
    learning_rate: float, batch_size: int, base_batch_size: int, rule: str = "linear"
) -> float:
    """Scales a learning rate to another batch size.

    Args:
        learning_rate: Float, the rate for `base_batch_size`.
        batch_size: Integer, images per step on all devices together.
        base_batch_size: Integer, the batch size that the rate was chosen for.
        rule: `"linear"`: k times the batch size, k times the rate; use a warm-up of a
            few epochs (Goyal et al. 2017, arXiv:1706.02677). `"square_root"`: the rate
            is multiplied by the square root of k, which keeps the variance of the step
            (Krizhevsky 2014, arXiv:1404.5997) and suits Adam. `"constant"`: the rate
            does not change.

    Returns:
        Float.

    Raises:
        ValueError: If the rule is unknown or a number is not positive.

    Example:

    >>> from keras_involution.distribution import scaled_learning_rate
    >>> scaled_learning_rate(0.1, batch_size=1024, base_batch_size=256)
    0.4
    >>> scaled_learning_rate(0.001, 1024, 256, rule="square_root")
    0.002
    """
    _arguments.one_of(rule, LEARNING_RATES, "rule")
    rate = _arguments.positive_number(learning_rate, "learning_rate")
    size = _arguments.positive_integer(batch_size, "batch_size")
    base = _arguments.positive_integer(base_batch_size, "base_batch_size")
    factor = size / base
    return rate * {"linear": factor, "square_root": math.sqrt(factor)}.get(rule, 1.0)
