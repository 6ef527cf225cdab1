"""The only validation of arguments: every error ends with what was received."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

DATA_FORMATS = ("channels_last", "channels_first")


def received(**values: object) -> str:
    """The closing words of every error: `Received: name=value, ...`."""
    return "Received: " + ", ".join(f"{k}={v!r}" for k, v in values.items())


def positive_integer(value: Any, name: str) -> int:
    if isinstance(value, bool) or not _is_integer(value) or int(value) < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. {received(**{name: value})}"
        )
    return int(value)


def spatial_tuple(value: Any, rank: int, name: str) -> tuple[int, ...]:
    """One positive integer for each spatial dimension, from one or from `rank`."""
    values = value if isinstance(value, Sequence) else (value,) * rank
    integers = all(_is_integer(v) and not isinstance(v, bool) for v in values)
    if len(values) != rank or not integers or any(int(v) < 1 for v in values):
        raise ValueError(
            f"`{name}` must be a positive integer or a tuple of {rank} positive "
            f"integers. {received(**{name: value})}"
        )
    return tuple(int(v) for v in values)


def odd_window(value: Any, rank: int, name: str = "kernel_size") -> tuple[int, ...]:
    """A window with a centre: every side is odd."""
    window = spatial_tuple(value, rank, name)
    if any(side % 2 == 0 for side in window):
        raise ValueError(
            f"`{name}` must be odd in every dimension, so that the window has a "
            f"centre. {received(**{name: value})}"
        )
    return window


def standard_data_format(value: str | None) -> str:
    """`value`, or Keras's global setting where it is `None`."""
    if value is None:
        value = keras.config.image_data_format()
    if value not in DATA_FORMATS:
        raise ValueError(
            f"`data_format` must be one of {DATA_FORMATS}. "
            f"{received(data_format=value)}"
        )
    return value


def divisible(value: int, by: int, name: str, by_name: str) -> int:
    """The quotient of two sizes of which one must divide the other."""
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
    """A probability."""
    if isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(
            f"`{name}` must be between 0 and 1. {received(**{name: value})}"
        )
    return float(value)


def _is_integer(value: Any) -> bool:
    try:
        return int(value) == value
    except (TypeError, ValueError):
        return False
