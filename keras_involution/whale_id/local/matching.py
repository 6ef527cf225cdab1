"""Finds keypoints that show the same marks in two photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from keras_involution._arguments import one_of, positive_number, rate
from keras_involution.whale_id.local.keypoints import Keypoints

TRANSFORMS = ("similarity", "homography", "none")
_LARGEST_ZOOM = 4.0
# Chosen on photos of harbor seals that are not in the test: see
# benchmarks/RESULTS.md.
MIN_SIMILARITY, TOLERANCE, UNVERIFIED = 0.75, 0.03, 1.0
COMMON_SIMILARITY, COMMON_QUANTILE = 0.6, 0.95
_COMMON_PRIOR = 20  # the fixed similarity has the weight of this many candidates


class PairMatcher(Protocol):
    """Proposes pairs of keypoints; a learned matcher needs only this method."""

    def __call__(
        self, query: Keypoints, candidate: Keypoints
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (M, 2) of row numbers, and their confidences (M,), 0 to 1."""
        ...


class PhotoMatcher(Protocol):
    """Compares a photo with others by their keypoints."""

    def scores(self, query: Keypoints, candidates: Sequence[Keypoints]) -> np.ndarray:
        """Scores (N,) of one photo with N others."""
        ...


class MutualNearest:
    """Pairs of keypoints that are mutual nearest neighbors.

    The confidence of a pair rises with its cosine from 0 at `min_similarity` to 1 for
    equal descriptors.

    Args:
        min_similarity: Float; pairs with a lower cosine are ignored.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.local import Keypoints, MutualNearest
    >>> one = Keypoints(np.zeros((2, 2)), np.eye(2), (10, 10))
    >>> other = Keypoints(np.zeros((2, 2)), np.eye(2)[::-1], (10, 10))
    >>> MutualNearest()(one, other)[0].tolist()
    [[0, 1], [1, 0]]
    """

    def __init__(self, min_similarity: float = MIN_SIMILARITY) -> None:
        self.min_similarity = min_similarity

    def __call__(
        self, query: Keypoints, candidate: Keypoints
    ) -> tuple[np.ndarray, np.ndarray]:
        if not len(query) or not len(candidate):
            return np.zeros((0, 2), int), np.zeros(0, "float32")
        cosines = query.descriptors @ candidate.descriptors.T
        nearest = cosines.argmax(axis=1)
        values = cosines[np.arange(len(query)), nearest]
        best = cosines.max(axis=0)[nearest]
        rows = np.flatnonzero((values >= self.min_similarity) & (values == best))
        # For ties, the first row is used, as for columns.
        rows = rows[np.sort(np.unique(nearest[rows], return_index=True)[1])]
        sure = (values[rows] - self.min_similarity) / (1 - self.min_similarity)
        return np.stack([rows, nearest[rows]], axis=1), sure


@dataclass(frozen=True)
class LocalMatch:
    """The matched points of two photos.

    Args:
        score: Float, 0 for no match; see `LocalMatcher`.
        query_points: Array (M, 2), x and y in pixels of the query.
        candidate_points: Array (M, 2), the same marks in the candidate.
        similarities: Array (M,), the confidence of each pair, 0 to 1.
    """

    score: float
    query_points: np.ndarray
    candidate_points: np.ndarray
    similarities: np.ndarray

    def __len__(self) -> int:
        return len(self.query_points)


class LocalMatcher:
    """Compares photos by their keypoints.

    `pairs` proposes pairs of keypoints. A transform of the image plane, estimated by
    OpenCV's RANSAC, verifies some of them; the verified pairs are shown to the user.
    The score of two photos is the sum of the confidences of the pairs. Faces and flanks
    are flexible, so by default all pairs count. Flat and stiff parts, such as dorsal
    fins, are matched better with `unverified=0`: then only verified pairs count, from
    half if they are all in one spot to fully if they spread as far as all keypoints.

    Args:
        pairs: `PairMatcher`; `None` uses `MutualNearest()`.
        transform: String, `"similarity"` (4 degrees of freedom), `"homography"` (8),
            or `"none"` to keep all proposed pairs.
        tolerance: Float, maximum distance of a pair from the transform, as a fraction
            of the extent of the candidate's keypoints.
        unverified: Float from 0 to 1, the weight of the sum over all pairs; the sum
            over the verified pairs, scaled by their spread, has the rest.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.local import LocalMatcher, XFeatExtractor
    >>> image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), "uint8")
    >>> keypoints = XFeatExtractor(side=96, region="whole")(image)
    >>> len(LocalMatcher().match(keypoints, keypoints)) == len(keypoints)
    True
    """

    def __init__(
        self,
        pairs: PairMatcher | None = None,
        transform: str = "similarity",
        tolerance: float = TOLERANCE,
        unverified: float = UNVERIFIED,
    ) -> None:
        self.pairs = MutualNearest() if pairs is None else pairs
        self.transform = one_of(transform, TRANSFORMS, "transform")
        self.tolerance = positive_number(tolerance, "tolerance")
        self.unverified = rate(unverified, "unverified")

    def match(self, query: Keypoints, candidate: Keypoints) -> LocalMatch:
        """Matches two photos.

        Args:
            query: `Keypoints`.
            candidate: `Keypoints`.

        Returns:
            `LocalMatch` of the verified pairs, best first.
        """
        pairs, values = self.pairs(query, candidate)
        order = np.argsort(-values, kind="stable")
        pairs, values = pairs[order], values[order]
        one, other = query.points[pairs[:, 0]], candidate.points[pairs[:, 1]]
        kept = self._verified(one, other, _extent(candidate.points))
        spread = _spread(one[kept], query.points) if kept.any() else 0.0
        verified = float(values[kept].sum()) * (1 + spread) / 2
        score = self.unverified * float(values.sum()) + (1 - self.unverified) * verified
        return LocalMatch(score, one[kept], other[kept], values[kept])

    def scores(self, query: Keypoints, candidates: Sequence[Keypoints]) -> np.ndarray:
        """Scores (N,) of one photo with N others."""
        if self.unverified == 1:  # the transform is not needed
            found = [self.pairs(query, c)[1].sum() for c in candidates]
        else:
            found = [self.match(query, c).score for c in candidates]
        return np.array(found, "float32")

    def _verified(
        self, one: np.ndarray, other: np.ndarray, extent: float
    ) -> np.ndarray:
        least = {"similarity": 2, "homography": 4, "none": 0}[self.transform]
        # A transform with only the minimum number of pairs verifies nothing.
        if len(one) <= least or self.transform == "none":
            return np.full(len(one), self.transform == "none")
        import cv2

        options: dict[str, Any] = {
            "method": cv2.RANSAC,
            "ransacReprojThreshold": self.tolerance * extent,
            "maxIters": 1000,
            "confidence": 0.999,
        }
        if self.transform == "similarity":
            found, kept = cv2.estimateAffinePartial2D(one, other, **options)
        else:
            found, kept = cv2.findHomography(one, other, **options)
        if found is None or not _is_plausible(found):
            return np.zeros(len(one), bool)
        return kept[:, 0].astype(bool)


def _is_plausible(transform: np.ndarray) -> bool:
    """Whether the transform neither shrinks a photo to a point nor mirrors it."""
    area = float(np.linalg.det(transform[:2, :2]))
    return _LARGEST_ZOOM**-2 < area < _LARGEST_ZOOM**2


def _extent(points: np.ndarray) -> float:
    """Diagonal of the box around the keypoints."""
    return float(np.linalg.norm(np.ptp(points, axis=0))) if len(points) else 0.0


def _spread(inliers: np.ndarray, points: np.ndarray) -> float:
    """Standard deviation of the inliers relative to all keypoints, at most 1."""
    whole = np.sqrt(points.var(axis=0).sum())
    return float(min(np.sqrt(inliers.var(axis=0).sum()) / max(whole, 1e-6), 1.0))


class DistinctMatcher:
    """Compares a photo with many candidates by their distinctive keypoints.

    Whiskers, water and waves look similar in every photo. The score of a pair is the
    amount by which its similarity exceeds that of the query keypoint's pairs in 95 % of
    the candidates. With few candidates, a fixed similarity of 0.75 is used instead.

    Args:
        pairs: `PairMatcher`; `None` uses `MutualNearest` with a `min_similarity` of
            0.6.
        least: Float, the confidence that a pair must exceed if there are no candidates.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.local import DistinctMatcher, Keypoints
    >>> one = Keypoints(np.zeros((2, 2)), np.eye(2), (10, 10))
    >>> other = Keypoints(np.zeros((1, 2)), np.eye(1, 2), (10, 10))
    >>> print(DistinctMatcher().scores(one, [one, other]).round(2))
    [1.14 0.57]
    """

    def __init__(
        self, pairs: PairMatcher | None = None, least: float | None = None
    ) -> None:
        self.pairs = MutualNearest(COMMON_SIMILARITY) if pairs is None else pairs
        default = (MIN_SIMILARITY - COMMON_SIMILARITY) / (1 - COMMON_SIMILARITY)
        self.least = rate(default if least is None else least, "least")

    def scores(self, query: Keypoints, candidates: Sequence[Keypoints]) -> np.ndarray:
        """Scores (N,) of one photo with N others."""
        count = len(candidates)
        sure = np.zeros((len(query), count), "float32")
        for column, candidate in enumerate(candidates):
            pairs, values = self.pairs(query, candidate)
            sure[pairs[:, 0], column] = values
        if not sure.size:
            return np.zeros(count, "float32")
        common = np.quantile(sure, COMMON_QUANTILE, axis=1)
        weight = count / (count + _COMMON_PRIOR)
        least = weight * common + (1 - weight) * self.least
        return np.maximum(sure - least[:, None], 0).sum(axis=0).astype("float32")
