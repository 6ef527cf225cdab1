"""Ranks the known animals for the photos of one animal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.embeddings import Embeddings
from keras_involution.whale_id.fusion import (
    Candidates,
    FusionCalibration,
    LocalScorer,
    has_local_features,
    local_features,
    with_local_features,
)
from keras_involution.whale_id.fusion import Matcher as FusionMatcher
from keras_involution.whale_id.fusion.scorers import MODEL_PREFIX, default_scorers
from keras_involution.whale_id.local import LocalFeatures, build_extractor
from keras_involution.whale_id.model import EmbeddingNetwork
from keras_involution.whale_id.open_set import NEW_LABEL
from keras_involution.whale_id.tables import UNKNOWN

_SIFT = 128
"""Size of a SIFT descriptor; XFeat descriptors have 64 values."""
_UNRATED = "no calibration, so the rating is 0"


class Matcher:
    """A network and the photos of known animals, compared by all evidence.

    Args:
        network: `EmbeddingNetwork`.
        database: `Embeddings` of the known photos, by the same network. If keypoints
            are stored with them, keypoints of uploads are also compared.
        calibration: `FusionCalibration` that converts scores to probabilities and
            detects new animals; `None` returns only ranks.
        reduce: String, score of an animal, as for `fusion.Matcher`.
        shortlist: Integer, number of photos whose keypoints are compared with those of
            an upload.
        pairs: String, the pairs of keypoints that count: `"all"` or `"verified"`.

    Raises:
        ValueError: If the database is from another network, or contains no known
            animal.

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
        calibration: FusionCalibration | None = None,
        reduce: str = "best",
        shortlist: int = 300,
        pairs: str = "all",
    ) -> None:
        size = network.output_shape[-1]
        if database.features.shape[1] != size:
            raise ValueError(
                "The embeddings of the database are not from this network. "
                + received(database=database.features.shape[1], network=size)
            )
        self.network, self.database = network, database
        options: dict[str, Any] = {"reduce": reduce, "shortlist": shortlist}
        self._options, self._pairs = options | {"calibration": calibration}, pairs
        # Models that the server does not have are ignored.
        found = default_scorers([database], pairs=pairs)
        scorers = [s for s in found if not s.name.startswith(MODEL_PREFIX)]
        self.search = FusionMatcher(database, scorers, **self._options)
        self.table = database.table
        self.names = self.table["image_id"].to_list()
        self._extractor = self._build_extractor()

    @property
    def knows_new(self) -> bool:
        """Whether the calibration includes new animals."""
        calibration = self.search.calibration
        return calibration is not None and calibration.answers.knows_new

    @property
    def needs_images(self) -> bool:
        """Whether keypoints of uploads are compared."""
        return self._extractor is not None

    @property
    def flip(self) -> str:
        """How the database was embedded."""
        flip = self.database.settings.get("flip", "average")
        return "average" if flip == "average" else "none"

    def with_database(self, database: Embeddings) -> Matcher:
        """A matcher with the same settings and other known photos."""
        return Matcher(self.network, database, pairs=self._pairs, **self._options)

    def photos(self, identity: str, first: int) -> list[int]:
        """Rows of an animal's photos in the database, beginning with `first`."""
        rows = np.flatnonzero(self.table["identity"] == identity).tolist()
        return sorted(rows, key=lambda row: row != first)

    def embed(
        self, images: Sequence[np.ndarray], sizes: Sequence[int] = ()
    ) -> np.ndarray:
        """Embeddings of images of the network's size, mirrored as in the database.

        Args:
            images: Sequence of arrays (H, W, 3) of bytes.
            sizes: Sequence of integers, ascending. Batches are padded to the next of
                these sizes, each of which is compiled once.

        Returns:
            Array (N, D).
        """
        stacked = np.stack(list(images))
        size = next((size for size in sizes if size >= len(stacked)), len(stacked))
        missing = size - len(stacked)
        filled = np.concatenate([stacked, np.repeat(stacked[-1:], missing, axis=0)])
        return self.network.embed(filled, flip=self.flip)[: len(stacked)]

    def matches(
        self, features: np.ndarray, top: int, images: Sequence[np.ndarray] = ()
    ) -> list[dict[str, Any]]:
        """The animals that are most similar to the photos of one animal.

        Args:
            features: Array (N, D), all of one animal.
            top: Integer, number of animals.
            images: Sequence of the N photos, for their keypoints; without them only the
                features are compared.

        Returns:
            List of dictionaries, best first: "rank" from 1, "id", "rating" from 0 to 1
            and "details". With a calibration, ratings are probabilities, and the label
            of new animals is inserted by its probability. A rating is `None` if
            keypoints are compared and no photo has any. Without a calibration, all
            ratings are 0 and the details say so: only the ranks have a meaning.
        """
        entries, found = self.candidates(self.queries(features, images), top)
        note = _UNRATED if found.probabilities is None else found.notes[0]
        said = f"; {note}" if note else ""
        return [entry | {"details": entry["details"] + said} for entry, _ in entries]

    def queries(
        self, features: np.ndarray, images: Sequence[np.ndarray] = ()
    ) -> Embeddings:
        """Photos of one animal, with their keypoints where those are compared."""
        names = [f"upload {number}" for number in range(len(features))]
        table = pd.DataFrame({"image_id": names, "identity": UNKNOWN, "path": ""})
        queries = Embeddings(features, table)
        if self._extractor is None or len(images) != len(features):
            return queries
        found = [self._extractor(image) for image in images]
        return with_local_features(queries, LocalFeatures.pack(found))

    def candidates(
        self, queries: Embeddings, top: int
    ) -> tuple[list[tuple[dict[str, Any], int]], Candidates]:
        """As `matches`, each with the row of its most similar photo, or -1.

        The notes of the `Candidates`, also returned, are not in the details here.
        """
        found = self._rank(queries, top)
        ranking, ratings = found.ranking, found.probabilities
        if found.new_probabilities is not None:
            ranking, ratings = found.with_new()
        if ratings is None:
            ratings = np.zeros(ranking.labels.shape)
        assert ranking.images is not None
        entries: list[tuple[dict[str, Any], int]] = []
        columns = (ranking.labels, ranking.scores, ratings, ranking.images)
        for label, score, rating, row in zip(*(column[0] for column in columns)):
            if label != "":
                entry = self._entry(len(entries) + 1, label, score, rating, int(row))
                entries.append((entry, int(row)))
        return entries, found

    def _entry(
        self, rank: int, label: str, score: float, rating: float, row: int
    ) -> dict[str, Any]:
        details = f"most like {self.names[row]}"
        if not np.isnan(score):
            details += f", score {score:.3f}"
        if label == NEW_LABEL:
            details = "none of the known animals"
        return {
            "rank": rank,
            "id": label,
            "rating": None
            if np.isnan(rating)
            else round(float(np.clip(rating, 0, 1)), 6),
            "details": details,
        }

    def _rank(self, queries: Embeddings, top: int) -> Candidates:
        search = self.search
        if self.needs_images and not has_local_features(queries):
            options = self._options | {"calibration": None}
            search = FusionMatcher(self.database, search.scorers[:1], **options)
        return search.rank(queries, top=top, encounters=["one animal"] * len(queries))

    def _build_extractor(self) -> Any:
        if not any(isinstance(s, LocalScorer) for s in self.search.scorers):
            return None
        settings = self.database.settings.get("local")
        if settings is not None:
            return build_extractor(**settings)
        width = local_features(self.database).descriptors.values.shape[1]
        return build_extractor("sift" if width == _SIFT else "xfeat")
