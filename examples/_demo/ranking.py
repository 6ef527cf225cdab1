"""Ranks photos of fins by matched keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from examples._demo.photos import UNKNOWN, Fin
from keras_involution import RedNet26
from keras_involution.whale_id.local import (
    Keypoints,
    LocalMatch,
    LocalMatcher,
    XFeatExtractor,
)

CLEAR = 1.5
# A fin is flat and rigid, so a homography relates two views of it. Other pairs of
# keypoints do not count. These settings were chosen on the fins of the demo, so its
# number of right animals is an illustration, not an accuracy.
FIN_MATCHER = LocalMatcher(transform="homography", tolerance=0.015, unverified=0.0)


@dataclass(frozen=True)
class Candidate:
    """A photo of a known animal, and its match with a query.

    `mirrored` is true if the mirrored query matches better. The two sides of a dorsal
    fin have the same outline.
    """

    fin: Fin
    match: LocalMatch
    mirrored: bool

    @property
    def similarity(self) -> float:
        return self.match.score


@dataclass(frozen=True)
class Ranking:
    """A query and its candidates, the most similar first."""

    query: Fin
    candidates: list[Candidate]

    @property
    def answer(self) -> str:
        return self.candidates[0].fin.identity

    @property
    def answerable(self) -> bool:
        """Whether the animal is known and has another photo."""
        identities = {candidate.fin.identity for candidate in self.candidates}
        return self.query.identity in identities

    @property
    def right(self) -> bool:
        return self.answer == self.query.identity

    @property
    def conclusion(self) -> str:
        """The conclusion for a user, in one sentence."""
        best = self.candidates[0]
        others = [c for c in self.candidates if c.fin.identity != self.answer]
        lead = best.similarity / max(others[0].similarity, 1e-6) if others else np.inf
        points = f"{len(best.match)} matched points with {best.fin.image_id}"
        if lead >= CLEAR:
            # Another animal can lead as clearly, so do not claim a probability.
            return (
                f"{self.answer} is clearly first ({points}); compare the two by eye, "
                "it may be a new animal."
            )
        return (
            f"Undecided: {self.answer} is first ({points}), {others[0].fin.identity} "
            "close behind; look at both, it may be a new animal."
        )


class Observer:
    """Computes logits of photos.

    Use one instance for all photos, because JAX compiles again for each new model and
    each batch size.

    Args:
        model: `RedNet26`, the classifier.
    """

    def __init__(self, model: RedNet26) -> None:
        self.prepare = model.preprocessor
        self.model = keras.Model(model.input, model.output)

    def logits(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Returns logits (N, classes), the mean over images and mirror images."""
        x = keras.ops.convert_to_numpy(self.prepare(list(images)))
        both = [
            self.model.predict(view, batch_size=10, verbose=0)
            for view in (x, x[:, :, ::-1])
        ]
        return np.mean(both, axis=0)


def find_keypoints(fins: list[Fin]) -> list[tuple[Keypoints, Keypoints]]:
    """Extracts the keypoints of every fin and of its mirror image with XFeat."""
    extract = XFeatExtractor(region="whole")
    return [
        (extract(fin.image), extract(np.ascontiguousarray(fin.image[:, ::-1])))
        for fin in fins
    ]


def rank(
    fins: list[Fin],
    keypoints: list[tuple[Keypoints, Keypoints]],
    matcher: LocalMatcher = FIN_MATCHER,
) -> list[Ranking]:
    """Ranks all other fins of known animals for each fin, by matched keypoints.

    Args:
        fins: List of photos.
        keypoints: List of the keypoints of each photo and of its mirror image.
        matcher: `LocalMatcher`.

    Returns:
        List with a `Ranking` for each fin. Fins of unknown animals are queries, but
        never candidates.
    """
    return [
        Ranking(query, _candidates(query, views, fins, keypoints, matcher))
        for query, views in zip(fins, keypoints)
    ]


def count_right(rankings: list[Ranking]) -> tuple[int, int]:
    """Returns the number of correct first candidates, and of answerable queries."""
    possible = [ranking for ranking in rankings if ranking.answerable]
    return sum(ranking.right for ranking in possible), len(possible)


def _candidates(
    query: Fin,
    views: tuple[Keypoints, Keypoints],
    fins: list[Fin],
    keypoints: list[tuple[Keypoints, Keypoints]],
    matcher: LocalMatcher,
) -> list[Candidate]:
    candidates = []
    for fin, (known, _) in zip(fins, keypoints):
        if fin is not query and fin.identity != UNKNOWN:
            plain, mirrored = (matcher.match(view, known) for view in views)
            better = mirrored.score > plain.score
            match = mirrored if better else plain
            candidates.append(Candidate(fin, match, better))
    return sorted(candidates, key=lambda candidate: -candidate.similarity)
