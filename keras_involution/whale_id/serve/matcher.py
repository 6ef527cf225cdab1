"""From the photographs of one animal to the animals that it may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution.whale_id.embeddings import Embeddings
from keras_involution.whale_id.model import EmbeddingNetwork
from keras_involution.whale_id.open_set import Calibration
from keras_involution.whale_id.retrieve import Index


class Matcher:
    """A network and the photographs of known animals.

    Args:
        network: `EmbeddingNetwork`.
        database: `Embeddings` of the known photographs, by the same network.
        calibration: `Calibration` that turns scores into chances; `None` rates an
            animal by its cosine, from 0 for -1 to 1 for 1.
        reduce: String, score of an animal, as of `Index`.

    Raises:
        ValueError: If the database is of another network, or nobody is known in it.

    Example:

    >>> import numpy as np, pandas as pd
    >>> from keras_involution.whale_id import Embeddings
    >>> from keras_involution.whale_id.model import EmbeddingNetwork, build_backbone
    >>> from keras_involution.whale_id.serve import Matcher
    >>> network = EmbeddingNetwork(build_backbone("involution_baseline", (32, 32, 3)))
    >>> df = {"image_id": ["1", "2"], "identity": ["A", "B"], "path": ["1", "2"]}
    >>> database = Embeddings(np.eye(2, 64), pd.DataFrame(df))
    >>> matcher = Matcher(network, database)
    >>> features = matcher.embed([np.zeros((32, 32, 3), "uint8")])
    >>> matcher.matches(np.eye(1, 64), top=1)[0]["id"]
    'A'
    """

    def __init__(
        self,
        network: EmbeddingNetwork,
        database: Embeddings,
        calibration: Calibration | None = None,
        reduce: str = "best",
    ) -> None:
        size = network.output_shape[-1]
        if database.features.shape[1] != size:
            raise ValueError(
                "The embeddings of the database are not of this network. "
                + received(database=database.features.shape[1], network=size)
            )
        self.network = network
        self.index = Index(database, reduce)
        self.calibration = calibration
        self.names = database.table["image_id"].to_list()

    def embed(
        self, images: Sequence[np.ndarray], sizes: Sequence[int] = ()
    ) -> np.ndarray:
        """Embeddings of pictures of the network's size, plain and mirrored averaged.

        Args:
            images: Sequence of arrays (H, W, 3) of bytes.
            sizes: Sequence of integers, ascending: the pictures are filled up to the
                next of these numbers, each of which is compiled once.

        Returns:
            Array (N, D).
        """
        stacked = np.stack(list(images))
        size = next((size for size in sizes if size >= len(stacked)), len(stacked))
        missing = size - len(stacked)
        filled = np.concatenate([stacked, np.repeat(stacked[-1:], missing, axis=0)])
        return self.network.embed(filled, flip="average")[: len(stacked)]

    def matches(self, features: np.ndarray, top: int) -> list[dict[str, Any]]:
        """The animals that photographs of one animal are most like.

        Args:
            features: Array (N, D), all of one animal.
            top: Integer.

        Returns:
            List of dictionaries, best first: "rank" from 1, "id", "rating" from 0 to 1
            and "details".
        """
        scores = self.index.scores([features])
        mean = scores.mean(axis=0)
        order = np.argsort(-mean, kind="stable")[:top]
        nearest = int(np.argmax(scores[:, order[0]]))
        images = self.index.best_images([features[nearest : nearest + 1]], order[None])
        ratings = self._ratings(mean[order])
        return [
            {
                "rank": rank,
                "id": self.index.classes[code],
                "rating": rating,
                "details": f"most like {self.names[image]}, cosine {mean[code]:.3f}",
            }
            for rank, (code, rating, image) in enumerate(
                zip(order, ratings, images[0]), 1
            )
        ]

    def _ratings(self, scores: np.ndarray) -> list[float]:
        if self.calibration is not None:
            ratings = self.calibration(scores)
        else:
            ratings = (scores.astype("float64") + 1) / 2
        return [round(float(value), 6) for value in np.clip(ratings, 0, 1)]
