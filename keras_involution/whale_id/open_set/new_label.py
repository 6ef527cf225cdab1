"""The label of new animals in a ranking."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from keras_involution._arguments import received
from keras_involution.whale_id.retrieve import Ranking

NEW_LABEL = "new_individual"


def open_truths(
    identities: Sequence[str], known: Collection[str], new_label: str = NEW_LABEL
) -> list[str]:
    """The true labels: the identity, or `new_label` if the identity is not known.

    Args:
        identities: Sequence of Q strings.
        known: Collection of the identities of the database.
        new_label: String.

    Returns:
        List of Q strings.

    Example:

    >>> from keras_involution.whale_id import open_truths
    >>> open_truths(["A", "B", "unknown"], {"A"})
    ['A', 'new_individual', 'new_individual']
    """
    names = set(known)
    return [name if name in names else new_label for name in identities]


def insert_new(
    ranking: Ranking, threshold: float | np.ndarray, new_label: str = NEW_LABEL
) -> Ranking:
    """Inserts the label of new animals into a ranking, with a constant score.

    The label is placed before the first animal with a score below the threshold, after
    animals with the same score.

    Args:
        ranking: `Ranking` (Q, K) of known animals.
        threshold: Float, or array (Q,) with one threshold per query.
        new_label: String.

    Returns:
        `Ranking` (Q, K + 1).

    Raises:
        ValueError: If the number of thresholds is neither 1 nor Q.

    Example:

    >>> from keras_involution.whale_id import Ranking, insert_new
    >>> insert_new(Ranking([["A", "B"]], [[0.8, 0.3]]), 0.5).labels
    array([['A', 'new_individual', 'B']], dtype=object)
    """
    count = len(ranking)
    values = np.asarray(threshold, "float64")
    if values.shape not in ((), (count,)):
        raise ValueError(
            "`threshold` must be a float or have one value per query. "
            f"{received(threshold=values.shape, queries=count)}"
        )
    column = np.broadcast_to(values, (count,))[:, None]
    scores = np.concatenate([ranking.scores.astype("float64"), column], axis=1)
    labels = np.concatenate(
        [ranking.labels, np.full((count, 1), new_label, object)], axis=1
    )
    order = np.argsort(-scores, axis=1, kind="stable")
    images = None
    if ranking.images is not None:
        images = np.concatenate([ranking.images, np.full((count, 1), -1)], axis=1)
        images = np.take_along_axis(images, order, axis=1)
    return Ranking(
        np.take_along_axis(labels, order, axis=1),
        np.take_along_axis(scores, order, axis=1),
        images,
    )
