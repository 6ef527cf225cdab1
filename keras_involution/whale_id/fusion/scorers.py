"""Scorers of the similarity of two photos."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from keras_involution._arguments import one_of, received
from keras_involution.whale_id.embeddings import Embeddings
from keras_involution.whale_id.fusion.rerank import (
    expand_queries,
    k_reciprocal_similarities,
)
from keras_involution.whale_id.local import (
    DistinctMatcher,
    LocalFeatures,
    LocalMatcher,
    PhotoMatcher,
)
from keras_involution.whale_id.local.keypoints import FIELDS
from keras_involution.whale_id.retrieve.index import check_usable
from keras_involution.whale_id.unit import unit

LOCAL_PREFIX, MODEL_PREFIX = "local_", "model_"
PAIRS = ("all", "verified")
RERANKS = ("aqe", "k-reciprocal")
_MOST_REMEMBERED = 1_000_000


class Scorer(Protocol):
    """One type of evidence; a new type needs only these two members."""

    name: str

    def __call__(
        self, queries: Embeddings, database: Embeddings, pairs: np.ndarray | None
    ) -> np.ndarray:
        """Scores (Q, N); for `pairs` (P, 2) of row numbers, scores (P,)."""
        ...


class FeatureScorer:
    """The cosine of the embeddings, centered on the database.

    Args:
        name: String.
        extra: String, the name of an array in `Embeddings.extras` with the embeddings
            of another model; `None` uses `features`.
        center: Boolean, whether to subtract the mean of the database. This is needed
            for features of a network that was not trained for this task.
        rerank: String, method to re-rank the cosines: `"aqe"`, average query expansion,
            or `"k-reciprocal"` neighbors, both from `fusion.rerank`. `None` uses the
            cosines unchanged, which was best on harbor seals (benchmarks/RESULTS.md).
            It becomes part of `name`, since a calibration is valid for one choice.

    Raises:
        ValueError: If `rerank` is unknown.

    Example:

    >>> import numpy as np, pandas as pd
    >>> from keras_involution.whale_id import Embeddings
    >>> from keras_involution.whale_id.fusion import FeatureScorer
    >>> df = {"image_id": ["1", "2"], "identity": ["A", "B"], "path": ["1", "2"]}
    >>> embeddings = Embeddings(np.eye(2), pd.DataFrame(df))
    >>> FeatureScorer()(embeddings, embeddings).round(2).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """

    def __init__(
        self,
        name: str = "features",
        extra: str | None = None,
        center: bool = True,
        rerank: str | None = None,
    ) -> None:
        self.name, self.extra, self.center = name, extra, center
        self.rerank = rerank
        self._of: Embeddings | None = None
        self._known = self._mean = np.zeros(0)
        if rerank is not None:
            self.name = f"{name}, {one_of(rerank, RERANKS, 'rerank')}"

    def __call__(
        self,
        queries: Embeddings,
        database: Embeddings,
        pairs: np.ndarray | None = None,
    ) -> np.ndarray:
        self._prepare(database)
        check_usable(queries, "queries")
        asked, known = unit(self._features(queries) - self._mean), self._known
        if self.rerank == "aqe":
            asked = expand_queries(asked, known)
        if self.rerank == "k-reciprocal":
            scores = k_reciprocal_similarities(asked, known)
            return scores if pairs is None else scores[pairs[:, 0], pairs[:, 1]]
        if pairs is None:
            return asked @ known.T
        return (asked[pairs[:, 0]] * known[pairs[:, 1]]).sum(axis=1)

    def _prepare(self, database: Embeddings) -> None:
        """Centers the database, unless it is the same as in the last call."""
        if self._of is database:
            return
        check_usable(database, "database")
        known = self._features(database)
        centered = self.center and len(known) > 1
        self._mean = known.mean(axis=0) if centered else np.zeros(1, known.dtype)
        self._known, self._of = unit(known - self._mean), database

    def _features(self, embeddings: Embeddings) -> np.ndarray:
        if self.extra is None:
            return embeddings.features
        return np.asarray(embeddings.extras[self.extra])


class LocalScorer:
    """Scores by the keypoints that are stored with the embeddings.

    A score may depend on the other photos in the query's shortlist.

    Args:
        matcher: `PhotoMatcher`, such as `LocalMatcher`; `None` uses
            `DistinctMatcher()`.
        name: String.

    Attributes:
        on_pairs: Function that is called with the number of pairs of photos done.
    """

    def __init__(
        self,
        matcher: PhotoMatcher | None = None,
        name: str = "local",
    ) -> None:
        given = DistinctMatcher() if matcher is None else matcher
        self.matcher: PhotoMatcher = given
        self.name = name
        self.on_pairs: Callable[[int], None] = lambda count: None
        self._known: dict[bytes, np.ndarray] = {}

    def __call__(
        self,
        queries: Embeddings,
        database: Embeddings,
        pairs: np.ndarray | None = None,
    ) -> np.ndarray:
        asked, known = local_features(queries), local_features(database)
        if pairs is None:
            rows = np.indices((len(queries), len(database))).reshape(2, -1).T
            return self(queries, database, rows).reshape(len(queries), len(database))
        digests = _digests(known, pairs[:, 1])
        scores = np.zeros(len(pairs), "float32")
        for row in np.unique(pairs[:, 0]).tolist():
            places = np.flatnonzero(pairs[:, 0] == row)
            columns = pairs[places, 1].tolist()
            # Commands compare the same photos several times.
            own = _digests(asked, np.array([row]))[row]
            key = _digest(own + b"".join(digests[column] for column in columns))
            if key not in self._known:
                candidates = [known[column] for column in columns]
                self._remember(key, self.matcher.scores(asked[row], candidates))
            scores[places] = self._known[key]
            self.on_pairs(len(places))
        return scores

    def _remember(self, key: bytes, scores: np.ndarray) -> None:
        if sum(map(len, self._known.values())) > _MOST_REMEMBERED:
            self._known.clear()
        self._known[key] = scores


def _digests(local: LocalFeatures, rows: np.ndarray) -> dict[int, bytes]:
    """Hashes of the keypoints of photos, by row."""
    found = {}
    for row in np.unique(rows).tolist():
        data = local.descriptors[row].tobytes() + local.points[row].tobytes()
        found[row] = _digest(data)
    return found


def _digest(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def has_local_features(embeddings: Embeddings) -> bool:
    """Whether keypoints are stored with the embeddings."""
    return LOCAL_PREFIX + "points" in embeddings.extras


def have_evidence(scorers: Sequence[Scorer], queries: Embeddings) -> np.ndarray:
    """Whether each photo has what the scorers compare.

    Args:
        scorers: Sequence of `Scorer`.
        queries: `Embeddings` of Q photos.

    Returns:
        Boolean array (Q,), false for a photo without keypoints if keypoints are
        compared.
    """
    if not any(isinstance(scorer, LocalScorer) for scorer in scorers):
        return np.ones(len(queries), bool)
    return np.diff(local_features(queries).points.offsets) > 0


def local_features(embeddings: Embeddings) -> LocalFeatures:
    """The keypoints that are stored with embeddings.

    Args:
        embeddings: `Embeddings`.

    Returns:
        `LocalFeatures` of N photos.

    Raises:
        ValueError: If there are none.
    """
    if not has_local_features(embeddings):
        raise ValueError(
            "The embeddings have no keypoints; `whale-id embed` stores them in .npz. "
            f"{received(extras=sorted(embeddings.extras))}"
        )
    extras = embeddings.extras
    stored: Any = [extras[LOCAL_PREFIX + name] for name in FIELDS]
    return LocalFeatures(*stored)


def local_arrays(local: LocalFeatures) -> dict[str, Any]:
    """Keypoints with their names in `Embeddings.extras`."""
    return {LOCAL_PREFIX + name: array for name, array in local.arrays().items()}


def with_local_features(embeddings: Embeddings, local: LocalFeatures) -> Embeddings:
    """Adds keypoints to embeddings.

    Args:
        embeddings: `Embeddings` of N photos.
        local: `LocalFeatures` of the same photos.

    Returns:
        `Embeddings`.
    """
    extras = {**embeddings.extras, **local_arrays(local)}
    return replace(embeddings, extras=extras)


def with_models(embeddings: Sequence[Embeddings]) -> Embeddings:
    """Combines the embeddings of several models of the same photos.

    Args:
        embeddings: Sequence of `Embeddings`; the first one stays in `features`.

    Returns:
        `Embeddings`.
    """
    first, *others = embeddings
    extras = dict(first.extras)
    for number, other in enumerate(others, 2):
        extras[f"{MODEL_PREFIX}{number}"] = other.features
        extras |= {k: v for k, v in other.extras.items() if k not in extras}
    return replace(first, extras=extras)


def default_scorers(
    embeddings: Sequence[Embeddings], rerank: str | None = None, pairs: str = "all"
) -> list[Scorer]:
    """Scorers for the features, and for the keypoints if all embeddings have them.

    Args:
        embeddings: Sequence of `Embeddings`.
        rerank: String or `None`, as for `FeatureScorer`.
        pairs: String, the pairs of keypoints that count: `"all"`, weighted by their
            distinctness (`DistinctMatcher`), or `"verified"` (`LocalMatcher`).

    Returns:
        List of `Scorer`.
    """
    one_of(pairs, PAIRS, "pairs")
    scorers: list[Scorer] = [FeatureScorer(rerank=rerank)]
    first = embeddings[0].extras
    for name in sorted(n for n in first if n.startswith(MODEL_PREFIX)):
        scorers.append(FeatureScorer(name, name, rerank=rerank))
    if all(has_local_features(e) for e in embeddings):
        # Another name: a calibration of one is not valid for the other.
        if pairs == "all":
            scorers.append(LocalScorer(name="local, distinct"))
        else:
            scorers.append(LocalScorer(LocalMatcher(unverified=0), "local, verified"))
    return scorers
