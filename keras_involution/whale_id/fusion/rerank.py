"""Re-ranking by features: query expansion and k-reciprocal neighbors."""

from __future__ import annotations

import numpy as np

from keras_involution._arguments import positive_integer, rate
from keras_involution.whale_id.unit import unit

_BLOCK = 1024


def expand_queries(
    queries: np.ndarray, database: np.ndarray, neighbors: int = 2, power: float = 3.0
) -> np.ndarray:
    """Average query expansion: each query moves towards its nearest neighbors.

    Use it only for queries whose own photos are not in the database.

    Args:
        queries: Array (Q, D), rows of length one.
        database: Array (N, D), rows of length one.
        neighbors: Integer, number of photos of the database to add.
        power: Float; the weight of a neighbor is its cosine to this power.

    Returns:
        Array (Q, D), rows of length one.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.fusion.rerank import expand_queries
    >>> expand_queries(np.eye(1, 2), np.eye(2), neighbors=1).tolist()
    [[1.0, 0.0]]

    Reference:
        Radenovic et al., "Fine-tuning CNN Image Retrieval with No Human Annotation",
        2018, https://arxiv.org/abs/1711.02512
    """
    count = min(positive_integer(neighbors, "neighbors"), len(database))
    cosines = queries @ database.T
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    weights = np.maximum(np.take_along_axis(cosines, nearest, axis=1), 0) ** power
    moved = queries + np.einsum("qk,qkd->qd", weights, database[nearest])
    return unit(moved)


def k_reciprocal_similarities(
    queries: np.ndarray,
    database: np.ndarray,
    neighbors: int = 5,
    weight: float = 0.8,
) -> np.ndarray:
    """Cosines combined with the agreement of the mutual neighbors of two photos.

    Photos of one animal have common neighbors. The agreement is the Jaccard index of
    the sets of mutual nearest neighbors in the database. Queries do not affect each
    other, so results do not depend on the other queries in a call.

    Args:
        queries: Array (Q, D), rows of length one.
        database: Array (N, D), rows of length one.
        neighbors: Integer, size of the neighborhoods.
        weight: Float from 0 to 1, the weight of the cosine; the agreement has the
            rest.

    Returns:
        Array (Q, N).

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.fusion import rerank
    >>> rerank.k_reciprocal_similarities(np.eye(1, 3), np.eye(3), 1).argmax()
    np.int64(0)

    Reference:
        Zhong et al., "Re-ranking Person Re-identification with k-reciprocal
        Encoding", CVPR 2017, https://arxiv.org/abs/1701.08398
    """
    count = min(positive_integer(neighbors, "neighbors"), len(database))
    rate(weight, "weight")
    cosines = queries @ database.T
    places, least = _nearest(database, count)
    near = (cosines >= _kth_best(cosines, count)[:, None]) & (cosines >= least)
    agreement = np.zeros(cosines.shape, "float32")
    sizes = np.zeros(len(database), "float32")
    # One neighbor of every photo at a time: N x N arrays do not fit for 100,000.
    for column in places.T:
        mutual = (database * database[column]).sum(axis=1) >= least[column]
        agreement += near[:, column] & mutual
        sizes += mutual
    either = near.sum(axis=1)[:, None] + sizes - agreement
    return weight * cosines + (1 - weight) * agreement / np.maximum(either, 1)


def _nearest(database: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` nearest photos of every photo and itself, and their least cosine."""
    count = min(count + 1, len(database))
    places, least = [], []
    for start in range(0, len(database), _BLOCK):
        cosines = database[start : start + _BLOCK] @ database.T
        best = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        places.append(best)
        least.append(np.take_along_axis(cosines, best, axis=1).min(axis=1))
    # With another order of summation, a cosine may differ in its last digits.
    return np.concatenate(places), np.concatenate(least) - 1e-6


def _kth_best(values: np.ndarray, count: int) -> np.ndarray:
    return -np.partition(-values, count - 1, axis=1)[:, count - 1]
