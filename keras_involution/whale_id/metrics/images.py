"""Metrics of the ranking of photos, which differ from those of animals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_involution._arguments import received
from keras_involution.whale_id.unit import unit


def image_average_precisions(
    queries: np.ndarray,
    database: np.ndarray,
    query_identities: Sequence[str],
    database_identities: Sequence[str],
) -> np.ndarray:
    """The average precision of every query over all photos of the database.

    The photos of the database are sorted by their cosine. The average precision is the
    mean of the precisions at the ranks of all photos of the query's animal. Its mean
    over queries is the mAP of person re-identification and of MiewID; it is not MAP@5.

    Args:
        queries: Array (Q, D).
        database: Array (N, D).
        query_identities: Sequence of Q strings.
        database_identities: Sequence of N strings.

    Returns:
        Array (Q,); `nan` if the animal has no photo in the database.

    Raises:
        ValueError: If the lengths do not match.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.metrics import image_average_precisions
    >>> database = np.array([[1, 0], [2, 1], [0, 1]])
    >>> image_average_precisions(np.array([[1, 0]]), database, ["A"], ["A", "B", "A"])
    array([0.83333333])
    """
    sizes = {"queries": len(queries), "query_identities": len(query_identities)}
    sizes |= {"database": len(database)}
    sizes |= {"database_identities": len(database_identities)}
    if len(queries) != len(query_identities) or len(database) != len(
        database_identities
    ):
        raise ValueError(f"Every row must have an identity. {received(**sizes)}")
    found = unit(database)
    names = np.asarray(list(database_identities), object)
    result = np.full(len(queries), np.nan)
    for row, (query, name) in enumerate(zip(unit(queries), query_identities)):
        right = names == name
        if right.any():
            order = np.argsort(-(found @ query), kind="stable")
            places = np.flatnonzero(right[order])
            result[row] = np.mean(np.arange(1, len(places) + 1) / (places + 1))
    return result
