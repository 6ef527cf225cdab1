"""Margins that depend on the number of photos of each identity."""

from __future__ import annotations

from collections.abc import Sequence

from keras_involution._arguments import received


def count_margins(
    counts: Sequence[int],
    coefficient: float = 0.27126,
    power: float = -0.364399,
    offset: float = 0.05,
) -> list[float]:
    """Margins `coefficient * n ** power + offset`, larger for rarely seen animals.

    Args:
        counts: Number of photos of each identity, in the order of the classes.
        coefficient: Float.
        power: Float, negative.
        offset: Float.

    Returns:
        List of floats, one margin per identity, in radians.

    Raises:
        ValueError: If a count is below 1.

    Example:

    >>> from keras_involution.whale_id.heads import count_margins
    >>> [round(margin, 3) for margin in count_margins([1, 2, 10])]
    [0.321, 0.261, 0.167]
    """
    if any(count < 1 for count in counts):
        raise ValueError(
            f"Every identity needs at least one photo. {received(counts=list(counts))}"
        )
    return [coefficient * float(count) ** power + offset for count in counts]
