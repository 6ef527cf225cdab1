"""Which photograph looks most like which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from examples._demo.photographs import UNKNOWN, Fin
from keras_involution import RedNet26


@dataclass(frozen=True)
class Candidate:
    """A photograph of a known animal, and how much a query looks like it."""

    fin: Fin
    similarity: float


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
        """Whether the animal is known and has another photograph."""
        identities = {candidate.fin.identity for candidate in self.candidates}
        return self.query.identity in identities

    @property
    def right(self) -> bool:
        return self.answer == self.query.identity


class Observer:
    """What a classifier sees in photographs, as they are and mirrored.

    One observer serves all photographs: on JAX every new model compiles anew, and so
    does every other batch size.

    Args:
        model: The classifier.
    """

    def __init__(self, model: RedNet26) -> None:
        self.prepare = model.preprocessor
        self.model = keras.Model(
            model.input, [model.get_layer("pooler").output, model.output]
        )

    def look(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings (N, D), the pooled features, and logits (N, number of classes).

        Both are means over a photograph, bytes (H, W, 3), and its mirror image.
        """
        x = keras.ops.convert_to_numpy(self.prepare(list(images)))
        both = [
            self.model.predict(view, batch_size=10, verbose=0)
            for view in (x, x[:, :, ::-1])
        ]
        embeddings, logits = (np.mean(pair, axis=0) for pair in zip(*both))
        return embeddings, logits


def rank(fins: list[Fin], embeddings: np.ndarray) -> list[Ranking]:
    """Every fin against all others of known animals, by cosine similarity.

    Args:
        fins: The photographs.
        embeddings: Array (N, D).

    Returns:
        A ranking for each fin. A fin is never its own candidate; a fin of an unknown
        animal is a query, never a candidate.
    """
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarities = unit @ unit.T
    return [
        Ranking(query, _candidates(query, fins, row))
        for query, row in zip(fins, similarities)
    ]


def count_right(rankings: list[Ranking]) -> tuple[int, int]:
    """How many queries get the right animal first, of those that could."""
    possible = [ranking for ranking in rankings if ranking.answerable]
    return sum(ranking.right for ranking in possible), len(possible)


def _candidates(query: Fin, fins: list[Fin], row: np.ndarray) -> list[Candidate]:
    others = [
        Candidate(fin, float(similarity))
        for fin, similarity in zip(fins, row)
        if fin is not query and fin.identity != UNKNOWN
    ]
    return sorted(others, key=lambda candidate: -candidate.similarity)
