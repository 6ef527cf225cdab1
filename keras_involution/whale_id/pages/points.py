"""Matched points of two photographs as they are shown on a page."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from keras_involution.whale_id.local import Keypoints, LocalMatcher, build_extractor
from keras_involution.whale_id.pages.thumbnails import load_thumbnail

SIDE = 640
_MOST_POINTS = 60
_MOST_KEPT = 500


class MatchedPoints:
    """Finds the points that two photographs have in common.

    Keypoints are found in what the page shows, the photograph within its box, so that
    the points belong to the images of the page.
    """

    def __init__(self) -> None:
        self._extractor = build_extractor("xfeat", side=SIDE)
        self._matcher = LocalMatcher()
        self._kept: OrderedDict[tuple[str, str], Keypoints] = OrderedDict()

    def __call__(self, query: Any, found: Any) -> np.ndarray | None:
        """The points of two rows of tables; `None` where a file is not readable.

        Args:
            query: Series with `path` and where known `bbox`.
            found: The same.

        Returns:
            Array (M, 4), x and y in both images as fractions of their sides.
        """
        try:
            first, second = self.of_row(query), self.of_row(found)
        except (OSError, ValueError):
            return None  # the page names the photograph
        return self.between(first, second)

    def of_row(self, row: Any) -> Keypoints:
        """The keypoints of a photograph; those of the last 500 are kept."""
        key = (str(row["path"]), str(row.get("bbox")))
        if key not in self._kept:
            image = load_thumbnail(row["path"], row.get("bbox"), SIDE)
            self._kept[key] = self.of_image(image)
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def of_image(self, image: np.ndarray) -> Keypoints:
        """The keypoints of an image of bytes (h, w, 3)."""
        found: Keypoints = self._extractor(image)
        return found

    def between(self, first: Keypoints, second: Keypoints) -> np.ndarray:
        """The points that two images have in common, the most similar first."""
        match = self._matcher.match(first, second)
        order = np.argsort(-match.similarities, kind="stable")[:_MOST_POINTS]
        return np.concatenate(
            [
                match.query_points[order] / np.asarray(first.size),
                match.candidate_points[order] / np.asarray(second.size),
            ],
            axis=1,
        )
