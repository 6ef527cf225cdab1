"""Which keypoints of two photos show the same marks of one animal."""

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
_COMMON_PRIOR = 20  # candidates that MIN_SIMILARITY counts as


class PairMatcher(Protocol):
    """Proposes pairs of keypoints; a learned matcher needs this method only."""

    def __call__(
        self, query: Keypoints, candidate: Keypoints
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (M, 2) of row numbers, and how sure each is (M,), 0 to 1."""
        ...


class PhotoMatcher(Protocol):
    """Compares a photo with others by their keypoints."""

    def scores(self, query: Keypoints, candidates: Sequence[Keypoints]) -> np.ndarray:
        """Scores (N,) of one photo with N others."""
        ...


class MutualNearest:
    """Pairs of keypoints that are each other's most similar.

    A pair is as sure as its cosine is above `min_similarity`: 0 there, 1 for equal
    descriptors.

    Args:
        min_similarity: Float, pairs whose cosine is lower do not count.

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
        # Of equal ones the first, as of a row's columns.
        rows = rows[np.sort(np.unique(nearest[rows], return_index=True)[1])]
        sure = (values[rows] - self.min_similarity) / (1 - self.min_similarity)
        return np.stack([rows, nearest[rows]], axis=1), sure


@dataclass(frozen=True)
class LocalMatch:
    """What two photos have in common.

    Args:
        score: Float, 0 for nothing; see `LocalMatcher`.
        query_points: Array (M, 2), x and y in pixels of the query.
        candidate_points: Array (M, 2), the same marks in the candidate.
        similarities: Array (M,), how sure each pair is, 0 to 1.
    """

    score: float
    query_points: np.ndarray
    candidate_points: np.ndarray
    similarities: np.ndarray

    def __len__(self) -> int:
        return len(self.query_points)


class LocalMatcher:
    """Compares photos by their keypoints.

    Pairs of keypoints are proposed by `pairs`. One transform of the image plane, found
    by RANSAC of OpenCV, verifies some of them: those are what a person is shown. The
    score of two photos is the sum over the pairs of how sure they are. Faces and
    flanks bend, so that by default all pairs count. What is flat and stiff, such as a
    dorsal fin, gains by `unverified=0`: then only verified pairs count, half where they
    lie in one spot and whole where they spread as far as the keypoints do.

    Args:
        pairs: `PairMatcher`; `None` is `MutualNearest()`.
        transform: String, `"similarity"` (4 degrees of freedom), `"homography"` (8),
            or `"none"` to keep all proposed pairs.
        tolerance: Float, how far a pair may lie from the transform, as a fraction of
            the extent of the candidate's keypoints.
        unverified: Float from 0 to 1, the weight of the sum over all pairs; the rest is
            for the sum over the verified pairs and their spread.

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
        if self.unverified == 1:  # what the transform says does not count
            found = [self.pairs(query, c)[1].sum() for c in candidates]
        else:
            found = [self.match(query, c).score for c in candidates]
        return np.array(found, "float32")

    def _verified(
        self, one: np.ndarray, other: np.ndarray, extent: float
    ) -> np.ndarray:
        least = {"similarity": 2, "homography": 4, "none": 0}[self.transform]
        # A transform that as many pairs fix as it takes explains nothing.
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
    """Whether it neither shrinks a photo to a point nor mirrors it."""
    area = float(np.linalg.det(transform[:2, :2]))
    return _LARGEST_ZOOM**-2 < area < _LARGEST_ZOOM**2


def _extent(points: np.ndarray) -> float:
    """Diagonal of the box around the keypoints."""
    return float(np.linalg.norm(np.ptp(points, axis=0))) if len(points) else 0.0


def _spread(inliers: np.ndarray, points: np.ndarray) -> float:
    """Standard deviation of the inliers over that of all keypoints, at most 1."""
    whole = np.sqrt(points.var(axis=0).sum())
    return float(min(np.sqrt(inliers.var(axis=0).sum()) / max(whole, 1e-6), 1.0))


class DistinctMatcher:
    """Compares a photo with many by what the many do not have in common.

    Whiskers, water and waves look alike in every photo. A pair of keypoints counts
    by how much more similar it is than the pairs that the query's keypoint has in 95 %
    of the candidates. With few candidates a fixed similarity of 0.75 takes the place of
    theirs.

    Args:
        pairs: `PairMatcher`; `None` is `MutualNearest` from a similarity of 0.6.
        least: Float, how sure a pair must be where there are no candidates to tell.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.local import DistinctMatcher, Keypoints
    >>> one = Keypoints(np.zeros((2, 2)), np.eye(2), (10, 10))
    >>> other = Keypoints(np.zeros((1, 2)), np.eye(1, 2), (10, 10))
    >>> DistinctMatcher().scores(one, [one, other]).round(2).tolist()
    [1.08, 0.54]
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
