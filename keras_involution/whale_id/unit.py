"""Vectors of length one, whose dot products are cosines."""

from __future__ import annotations

import numpy as np


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, (..., D) float32; a row of zeros does not change."""
    vectors = np.asarray(vectors, "float32")
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
