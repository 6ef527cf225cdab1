"""Rankings of animals by score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_involution._arguments import positive_integer, received


@dataclass(frozen=True)
class Ranking:
    """The most likely animals for every query, best first.

    Args:
        labels: Array (Q, K) of identities, unique in each row.
        scores: Array (Q, K) of floats, descending in each row.
        images: Array (Q, K) of integers: the row of the database with the most similar
            photo of the animal, -1 for none. `None` if it is not known.

    Raises:
        ValueError: If the shapes differ.
    """

    labels: np.ndarray
    scores: np.ndarray
    images: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", np.asarray(self.labels, object))
        object.__setattr__(self, "scores", np.asarray(self.scores, "float32"))
        shapes = {"labels": self.labels.shape, "scores": self.scores.shape}
        if self.images is not None:
            object.__setattr__(self, "images", np.asarray(self.images, "int64"))
            shapes["images"] = self.images.shape
        if self.labels.ndim != 2 or len(set(shapes.values())) > 1:
            raise ValueError(
                f"`labels`, `scores` and `images` must be (Q, K). {received(**shapes)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: Any) -> Ranking:
        """Selects queries by a boolean mask (Q,) or row numbers."""
        images = None if self.images is None else self.images[chosen]
        return Ranking(self.labels[chosen], self.scores[chosen], images)

    def first(self, count: int) -> Ranking:
        """The first `count` animals of every query."""
        images = None if self.images is None else self.images[:, :count]
        return Ranking(self.labels[:, :count], self.scores[:, :count], images)


def rank_scores(scores: np.ndarray, classes: Sequence[str], top: int = 10) -> Ranking:
    """Ranks classes by a matrix of scores.

    Args:
        scores: Array (Q, C).
        classes: Sequence of C strings. Classes with the same score keep this order.
        top: Integer, number of classes to keep.

    Returns:
        `Ranking` of min(`top`, C) animals.

    Raises:
        ValueError: If the shapes do not match.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id import rank_scores
    >>> rank_scores(np.array([[0.2, 0.9, 0.9]]), ["A", "B", "C"], top=2).labels
    array([['B', 'C']], dtype=object)
    """
    scores = np.asarray(scores, "float32")
    if scores.ndim != 2 or scores.shape[1] != len(classes):
        raise ValueError(
            "`scores` must be (Q, C), with C classes. "
            f"{received(scores=scores.shape, classes=len(classes))}"
        )
    order = best_columns(scores, positive_integer(top, "top"))
    names = np.asarray(list(classes), object)
    return Ranking(names[order], np.take_along_axis(scores, order, axis=1))


def best_columns(scores: np.ndarray, top: int) -> np.ndarray:
    """(Q, min(top, C)): columns by descending score; ties are in column order."""
    top = min(top, scores.shape[1])
    order = np.empty((len(scores), top), "int64")
    for row, values in enumerate(scores):
        least = np.partition(values, -top)[-top]
        candidates = np.flatnonzero(values >= least)
        by_score = np.argsort(-values[candidates], kind="stable")
        order[row] = candidates[by_score[:top]]
    return order
