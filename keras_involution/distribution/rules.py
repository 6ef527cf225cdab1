"""How batch and learning rate grow with the number of devices."""

from __future__ import annotations

import math

from keras_involution import _arguments

LEARNING_RATES = ("linear", "square_root", "constant")


def scaled_learning_rate(
    learning_rate: float, batch_size: int, base_batch_size: int, rule: str = "linear"
) -> float:
    """The learning rate for a batch of another size than it was chosen for.

    Args:
        learning_rate: Float, the rate that suits `base_batch_size`.
        batch_size: Integer, images of a step, of all devices together.
        base_batch_size: Integer.
        rule: `"linear"`: k times the batch, k times the rate, which wants a warm-up of
            some epochs (Goyal et al. 2017, arXiv:1706.02677). `"square_root"`: the rate
            times the root of k, which keeps the variance of the step (Krizhevsky 2014,
            arXiv:1404.5997) and suits Adam. `"constant"`: as it is.

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
