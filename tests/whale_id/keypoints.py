"""Random keypoints."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from keras_involution.whale_id import Embeddings
from keras_involution.whale_id.fusion import with_local_features
from keras_involution.whale_id.local import Keypoints, LocalFeatures


def with_random_keypoints(
    embeddings: Embeddings, count: int = 5, empty: Collection[int] = ()
) -> Embeddings:
    """Embeddings with random keypoints of each photo, except in `empty` rows."""
    random = np.random.default_rng(0)
    shape = (len(embeddings), count)
    points = random.uniform(0, 99, (*shape, 2)).astype("float32")
    vectors = random.normal(size=(*shape, 64))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    counts = [0 if row in empty else count for row in range(len(embeddings))]
    found = [
        Keypoints(p[:n], v[:n], (99, 99)) for p, v, n in zip(points, vectors, counts)
    ]
    return with_local_features(embeddings, LocalFeatures.pack(found))
