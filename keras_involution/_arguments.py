"""Validates arguments. Every error message ends with the received values."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

DATA_FORMATS = ("channels_last", "channels_first")


def received(**values: object) -> str:
    """The end of every error message: `Received: name=value, ...`."""
    return "Received: " + ", ".join(f"{k}={v!r}" for k, v in values.items())


def positive_integer(value: Any, name: str) -> int:
    if isinstance(value, bool) or not _is_integer(value) or int(value) < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. {received(**{name: value})}"
        )
    return int(value)


def whole_number(value: Any, name: str) -> int:
    if isinstance(value, bool) or not _is_integer(value) or int(value) < 0:
        raise ValueError(
            f"`{name}` must be a whole number, 0 or more. {received(**{name: value})}"
        )
    return int(value)


def positive_number(value: Any, name: str) -> float:
    if not _is_real(value) or not 0 < value < math.inf:
        raise ValueError(
            f"`{name}` must be positive and finite. {received(**{name: value})}"
        )
    return float(value)


def not_negative(value: Any, name: str) -> float:
    if not _is_real(value) or not 0 <= value < math.inf:
        raise ValueError(
            f"`{name}` must be finite and not negative. {received(**{name: value})}"
        )
    return float(value)


def at_most(value: float, largest: float, name: str, what: str = "") -> None:
    """Rejects values above `largest`; `what` describes the bound in the message."""
    if value > largest:
        bound = f"{largest:,}" + (f", {what}" if what else "")
        raise ValueError(
            f"`{name}` must be at most {bound}. {received(**{name: value})}"
        )


def spatial_tuple(value: Any, rank: int, name: str) -> tuple[int, ...]:
    """`value`, an integer or `rank` integers, as one integer per spatial dimension."""
    values = value if isinstance(value, Sequence) else (value,) * rank
    integers = all(_is_integer(v) and not isinstance(v, bool) for v in values)
    if len(values) != rank or not integers or any(int(v) < 1 for v in values):
        raise ValueError(
            f"`{name}` must be a positive integer or a tuple of {rank} positive "
            f"integers. {received(**{name: value})}"
        )
    return tuple(int(v) for v in values)


def odd_window(value: Any, rank: int, name: str = "kernel_size") -> tuple[int, ...]:
    """A window whose sides are all odd, so that it has a center."""
    window = spatial_tuple(value, rank, name)
    if any(side % 2 == 0 for side in window):
        raise ValueError(
            f"`{name}` must be odd in every dimension, so that the window has a "
            f"center. {received(**{name: value})}"
        )
    return window


def standard_data_format(value: str | None) -> str:
    """`value`, or the global setting of Keras if `value` is `None`."""
    if value is None:
        import keras  # Slow to import; the commands check arguments without it.

        value = keras.config.image_data_format()
    if value not in DATA_FORMATS:
        raise ValueError(
            f"`data_format` must be one of {DATA_FORMATS}. "
            f"{received(data_format=value)}"
        )
    return value


def divisible(value: int, by: int, name: str, by_name: str) -> int:
    """`value // by`, where `by` must divide `value`."""
    if value % by:
        raise ValueError(
            f"`{name}` must be divisible by `{by_name}`. "
            f"{received(**{name: value, by_name: by})}"
        )
    return value // by


def one_of(value: Any, choices: Sequence[Any], name: str) -> Any:
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {tuple(choices)}. {received(**{name: value})}"
        )
    return value


def rate(value: Any, name: str) -> float:
    """A probability from 0 to 1."""
    if not _is_real(value) or not 0 <= value <= 1:
        raise ValueError(
            f"`{name}` must be between 0 and 1. {received(**{name: value})}"
        )
    return float(value)


def drop_rate(value: Any, name: str) -> float:
    """A dropout probability, at least 0 and less than 1."""
    if not _is_real(value) or not 0 <= value < 1:
        raise ValueError(
            f"`{name}` must be at least 0 and less than 1. {received(**{name: value})}"
        )
    return float(value)


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    """Whether `value` is a Python or NumPy integer. As in Keras, 3.0 is not."""
    try:
        operator.index(value)
    except (TypeError, ValueError):
        return False
    return True
