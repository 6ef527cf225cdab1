"""Arrays with a varying number of rows per photo, such as keypoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_involution._arguments import received


@dataclass(frozen=True)
class RaggedArray:
    """N arrays that differ only in their first dimension, stored contiguously.

    Args:
        values: Array (T, ...) of any plain dtype, the concatenated arrays. It may be
            memory-mapped from a file.
        offsets: Integers (N + 1,), from 0 to T: array `i` is
            `values[offsets[i]:offsets[i + 1]]`.

    Raises:
        ValueError: If the offsets do not match the values.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.embeddings import RaggedArray
    >>> keypoints = RaggedArray.of([np.ones((2, 2)), np.zeros((0, 2)), np.ones((1, 2))])
    >>> len(keypoints), [len(array) for array in keypoints]
    (3, [2, 0, 1])
    >>> keypoints.rows([2, 0]).offsets.tolist()
    [0, 1, 3]
    """

    values: np.ndarray
    offsets: np.ndarray

    def __post_init__(self) -> None:
        offsets = np.asarray(self.offsets)
        fit = offsets.ndim == 1 and len(offsets) > 0 and offsets.dtype.kind in "iu"
        if not fit or offsets[0] != 0 or offsets[-1] != len(self.values):
            fit = False
        if not fit or (np.diff(offsets.astype("int64")) < 0).any():
            raise ValueError(
                "`offsets` must be integers that rise from 0 to the length of "
                f"`values`. {received(offsets=offsets, values=self.values.shape)}"
            )
        object.__setattr__(self, "offsets", offsets.astype("int64"))

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray]) -> RaggedArray:
        """Creates it from at least one array; all must have the same dtype."""
        lengths = [len(array) for array in arrays]
        return cls(np.concatenate(arrays), np.concatenate([[0], np.cumsum(lengths)]))

    @classmethod
    def concatenate(cls, parts: Sequence[RaggedArray]) -> RaggedArray:
        """Concatenates the arrays of several `RaggedArray`s."""
        values = np.concatenate([part.values for part in parts])
        lengths = np.concatenate([np.diff(part.offsets) for part in parts])
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]).astype("int64"))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row %= len(self)
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))

    def rows(self, chosen: Any) -> RaggedArray:
        """Selects arrays by their numbers (M,)."""
        chosen = np.asarray(chosen, int)
        lengths = np.diff(self.offsets)[chosen]
        arrays = [self.values[:0], *(self[int(row)] for row in chosen)]
        return RaggedArray(
            np.concatenate(arrays), np.concatenate([[0], np.cumsum(lengths)])
        )
