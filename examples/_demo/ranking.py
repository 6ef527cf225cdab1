"""Which photo looks most like which, and where."""

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
# A fin is flat and stiff: a homography relates two views of it, and pairs of keypoints
# that lie elsewhere say nothing. Chosen on the fins of the demo itself: the number of
# right answers there is an illustration, not an accuracy.
FIN_MATCHER = LocalMatcher(transform="homography", tolerance=0.015, unverified=0.0)


@dataclass(frozen=True)
class Candidate:
    """A photo of a known animal, and what it has in common with a query.

    `mirrored` says whether the mirrored query was the more similar: the two sides of
    a dorsal fin have the same outline.
    """

    fin: Fin
    match: LocalMatch
    mirrored: bool

    @property
    def similarity(self) -> float:
        return self.match.score


@dataclass(frozen=True)
class Ranking:
    """A query and its candidates, most similar first."""

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
        """What a person should conclude, in one line."""
        best = self.candidates[0]
        others = [c for c in self.candidates if c.fin.identity != self.answer]
        lead = best.similarity / max(others[0].similarity, 1e-6) if others else np.inf
        points = f"{len(best.match)} matched points with {best.fin.image_id}"
        if lead >= CLEAR:
            # Strangers lead as clearly: without calibration nothing says "probably".
            return (
                f"{self.answer} is clearly first ({points}); compare the two by eye, "
                "it may be a new animal."
            )
        return (
            f"Undecided: {self.answer} is first ({points}), {others[0].fin.identity} "
            "close behind; look at both, it may be a new animal."
        )


class Observer:
    """What a classifier sees in photos.

    One observer serves all photos: on JAX every new model compiles anew, and so
    does every other batch size.

    Args:
        model: The classifier.
    """

    def __init__(self, model: RedNet26) -> None:
        self.prepare = model.preprocessor
        self.model = keras.Model(model.input, model.output)

    def look(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Logits (N, number of classes), means over an image and its mirror image."""
        x = keras.ops.convert_to_numpy(self.prepare(list(images)))
        both = [
            self.model.predict(view, batch_size=10, verbose=0)
            for view in (x, x[:, :, ::-1])
        ]
        return np.mean(both, axis=0)


def find_keypoints(fins: list[Fin]) -> list[tuple[Keypoints, Keypoints]]:
    """The keypoints of every fin and of its mirror image, by XFeat."""
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
    """Every fin against all others of known animals, by matched keypoints.

    Args:
        fins: The photos.
        keypoints: Those of each photo and of its mirror image.
        matcher: What compares them.

    Returns:
        A ranking for each fin. A fin is never its own candidate; a fin of an unknown
        animal is a query, never a candidate.
    """
    return [
        Ranking(query, _candidates(query, views, fins, keypoints, matcher))
        for query, views in zip(fins, keypoints)
    ]


def count_right(rankings: list[Ranking]) -> tuple[int, int]:
    """How many queries get the right animal first, of those that could."""
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
