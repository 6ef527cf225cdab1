"""Type aliases shared by the whole package."""

from __future__ import annotations

from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A tensor of the current backend, a NumPy array, or a `keras.KerasTensor`."""

Shape: TypeAlias = tuple[int | None, ...]
"""A shape; `None` is an unknown size."""
