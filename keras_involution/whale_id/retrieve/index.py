"""Searches the photos of known animals."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_involution._arguments import one_of, positive_integer, received
from keras_involution.whale_id.embeddings import Embeddings
from keras_involution.whale_id.tables import UNKNOWN
from keras_involution.whale_id.unit import unit

REDUCTIONS = ("best", "center")
IMPLEMENTATIONS = ("numpy", "faiss")
FAISS_FROM = 200_000
_BLOCK_VALUES = 2**24


class Index:
    """An index of the photos of known animals.

    The similarity is the cosine. The score of an animal is the similarity of its most
    similar photo (`"best"`) or of the center of its photos (`"center"`), averaged over
    the views of a query. Mirrored photos of the database are used as further photos.

    Args:
        database: `Embeddings`; rows of unknown animals are left out.
        reduce: String, `"best"` or `"center"`.
        implementation: `"numpy"`, which is exact and needs about 64 MB in addition to
            the features; `"faiss"`, which considers only the `neighbors` nearest photos
            and assigns -1 to animals that are not among them. `None` uses faiss from
            200,000 features, if it is installed.
        neighbors: Integer, for `"faiss"`.

    Raises:
        ValueError: If no animal is known, a row is not usable, or `"faiss"` is given
            but not installed.

    Example:

    >>> import numpy as np, pandas as pd
    >>> from keras_involution.whale_id import Embeddings, Index
    >>> df = {"image_id": ["1", "2"], "identity": ["A", "B"], "path": ["1", "2"]}
    >>> index = Index(Embeddings(np.eye(2), pd.DataFrame(df)))
    >>> index.classes, index.scores([np.array([[3.0, 0.0]])])
    (('A', 'B'), array([[1., 0.]], dtype=float32))
    """

    def __init__(
        self,
        database: Embeddings,
        reduce: str = "best",
        implementation: str | None = None,
        neighbors: int = 500,
    ) -> None:
        one_of(reduce, REDUCTIONS, "reduce")
        known = np.flatnonzero(database.table["identity"] != UNKNOWN)
        check_usable(database, "database")
        if not known.size:
            raise ValueError(
                "The database has no photo of a known animal. "
                f"{received(rows=len(database))}"
            )
        names = database.table["identity"].to_numpy(object)[known]
        classes, codes = np.unique(names.astype(str), return_inverse=True)
        views = [view[known] for view in database.views]
        order = np.argsort(np.tile(codes, len(views)), kind="stable")
        self.classes: tuple[str, ...] = tuple(classes.tolist())
        self.codes = np.tile(codes, len(views))[order]
        self.rows = np.tile(known, len(views))[order]
        self.starts = np.searchsorted(self.codes, np.arange(len(classes)))
        self.image_ids = database.table["image_id"].to_numpy(object)[self.rows]
        self.photos = unit(np.concatenate(views)[order])
        self.reduce = reduce
        self.features = self.photos if reduce == "best" else self._centers()
        self.neighbors = positive_integer(neighbors, "neighbors")
        self._faiss = None
        if self._choose(implementation) == "faiss":
            self._faiss = _faiss_index(self.features)

    @functools.cached_property
    def _places(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for place, name in enumerate(self.image_ids):
            places.setdefault(name, []).append(place)
        return places

    @property
    def block_size(self) -> int:
        """Number of queries in a block, to limit memory."""
        return max(1, _BLOCK_VALUES // len(self.features))

    def scores(
        self, views: Sequence[np.ndarray], left_out: Sequence[str] | None = None
    ) -> np.ndarray:
        """The score of every animal.

        Args:
            views: List of arrays (B, D): the queries, and optionally mirrored queries.
            left_out: Sequence of B ids of photos that are ignored for their query, for
                example if the query itself is in the database.

        Returns:
            Array (B, C) of float32.

        Raises:
            ValueError: If `left_out` is given with centers or with faiss.
        """
        if left_out is not None and (self.reduce == "center" or self._faiss):
            raise ValueError(
                'Leaving out a photo needs `reduce="best"` and NumPy. '
                f"{received(reduce=self.reduce, faiss=self._faiss is not None)}"
            )
        return np.mean(
            [self._scores(unit(view), left_out) for view in views], axis=0
        ).astype("float32")

    def best_images(
        self,
        views: Sequence[np.ndarray],
        codes: np.ndarray,
        left_out: Sequence[str] | None = None,
    ) -> np.ndarray:
        """The photo of each animal that is most similar to a query.

        Args:
            views: List of arrays (B, D); only the first is used.
            codes: Array (B, K), numbers of classes.
            left_out: As for `scores`.

        Returns:
            Array (B, K), rows of the database; -1 if no photo is left.
        """
        names = left_out or [""] * len(codes)
        ends = np.append(self.starts[1:], len(self.codes))
        found = np.full(codes.shape, -1)
        for b, query in enumerate(unit(views[0])):
            for k, code in enumerate(codes[b]):
                places = np.arange(self.starts[code], ends[code])
                places = places[self.image_ids[places] != names[b]]
                if places.size:
                    nearest = np.argmax(self.photos[places] @ query)
                    found[b, k] = self.rows[places[nearest]]
        return found

    def _scores(
        self, queries: np.ndarray, left_out: Sequence[str] | None
    ) -> np.ndarray:
        if self._faiss is not None:
            return self._scores_of_neighbours(queries)
        similarities = queries @ self.features.T
        if self.reduce == "center":
            return similarities
        for row, name in enumerate(left_out or ()):
            similarities[row, self._places.get(name, [])] = -1
        return np.maximum.reduceat(similarities, self.starts, axis=1)

    def _scores_of_neighbours(self, queries: np.ndarray) -> np.ndarray:
        assert self._faiss is not None
        count = min(self.neighbors, len(self.features))
        similarities, places = self._faiss.search(queries, count)
        codes = self.codes[places] if self.reduce == "best" else places
        scores = np.full((len(queries), len(self.classes)), -1, "float32")
        rows = np.arange(len(queries))[:, None]
        np.maximum.at(scores, (rows, codes), similarities)
        return scores

    def _centers(self) -> np.ndarray:
        return unit(np.add.reduceat(self.photos, self.starts, axis=0))

    def _choose(self, implementation: str | None) -> str:
        installed = importlib.util.find_spec("faiss") is not None
        if implementation is None:
            large = len(self.features) >= FAISS_FROM
            return "faiss" if installed and large else "numpy"
        one_of(implementation, IMPLEMENTATIONS, "implementation")
        if implementation == "faiss" and not installed:
            raise ValueError(
                "faiss is not installed: pip install faiss-cpu. "
                f"{received(implementation=implementation)}"
            )
        return implementation


def check_usable(embeddings: Embeddings, name: str) -> None:
    """Raises `ValueError` with the ids of rows that are not finite or all zero."""
    rows = embeddings.unusable_rows()
    if rows.size:
        ids = embeddings.table["image_id"].iloc[rows[:10]].to_list()
        raise ValueError(
            f"{rows.size} rows of the {name} have values that are not finite, or only "
            f"zeros. {received(image_ids=ids)}"
        )


def _faiss_index(features: np.ndarray) -> Any:
    with warnings.catch_warnings():
        # The faiss bindings raise warnings when they are imported.
        warnings.simplefilter("ignore", DeprecationWarning)
        import faiss
    index = faiss.IndexFlatIP(features.shape[1])
    index.add(np.ascontiguousarray(features))
    return index
