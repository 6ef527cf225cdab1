"""Matched points of two photos, as shown on a page."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_involution.whale_id.embeddings import Embeddings
from keras_involution.whale_id.fusion import local_features
from keras_involution.whale_id.local import LocalMatcher
from keras_involution.whale_id.pages.thumbnails import fractions_shown

_MOST_POINTS = 60


class MatchedPoints:
    """Finds matching points of two photos from their stored keypoints.

    Args:
        queries: `Embeddings` with keypoints.
        database: `Embeddings` with keypoints by the same extractor.

    Raises:
        ValueError: If one of them has no keypoints.
    """

    def __init__(self, queries: Embeddings, database: Embeddings) -> None:
        self._asked, self._known = local_features(queries), local_features(database)
        self._matcher = LocalMatcher()

    def __call__(self, query: Any, found: Any) -> np.ndarray:
        """The matched points of two rows, the most similar first.

        Args:
            query: Series, a row of the table of the queries, with its number as `name`.
            found: Series, a row of the table of the database.

        Returns:
            Array (M, 4), x and y in both photos, as fractions of the sides of the
            displayed image.
        """
        first, second = self._asked[int(query.name)], self._known[int(found.name)]
        match = self._matcher.match(first, second)
        asked, known = match.query_points, match.candidate_points
        sides = [
            fractions_shown(asked[:_MOST_POINTS], query.get("bbox"), first.size),
            fractions_shown(known[:_MOST_POINTS], found.get("bbox"), second.size),
        ]
        return np.concatenate(sides, axis=1)
