"""Ranks animals by embeddings of one or several models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_involution._arguments import positive_integer, received
from keras_involution.whale_id.embeddings import Embeddings
from keras_involution.whale_id.retrieve.index import Index, check_usable
from keras_involution.whale_id.retrieve.ranking import Ranking, best_columns


def identify(
    queries: Embeddings | Sequence[Embeddings],
    database: Embeddings | Index | Sequence[Embeddings | Index],
    *,
    top: int = 10,
    reduce: str = "best",
    head_weight: float = 0.0,
    leave_one_out: bool = False,
    implementation: str | None = None,
) -> Ranking:
    """Ranks the animals that the queries may show.

    The score of an animal is the cosine of `Index`, combined with the query's logit of
    the head: `(1 - head_weight) * cosine + head_weight * logit`. Animals that are not a
    class of the head have only the cosine. The scores of several models are first
    standardized for each query and then averaged; `fusion.Matcher` averages calibrated
    probabilities, which is better. Animals with the same score are sorted by name.

    Args:
        queries: `Embeddings` of Q photos, or a sequence with one for each model.
        database: `Embeddings` of photos of known animals, or a reusable `Index` of
            them; or a sequence with one for each model.
        top: Integer, number of animals to keep.
        reduce: String, `"best"` photo or `"center"` of an animal.
        head_weight: Float from 0 to 1.
        leave_one_out: Boolean, whether to ignore photos of the database with the same
            `image_id` as the query. Needs `reduce="best"` and NumPy.
        implementation: `"numpy"`, `"faiss"` or `None`; see `Index`. This and `reduce`
            apply to `Embeddings`; an `Index` has its own settings.

    Returns:
        `Ranking` of Q queries with the most similar photos of the (first) database.

    Raises:
        ValueError: If the models have different photos or animals, the sizes do not
            match, logits are needed but missing, or a row is not usable.

    Example:

    >>> import numpy as np, pandas as pd
    >>> from keras_involution.whale_id import Embeddings, identify
    >>> df = {"image_id": ["1", "2"], "identity": ["A", "B"], "path": ["1", "2"]}
    >>> database = Embeddings(np.eye(2), pd.DataFrame(df))
    >>> identify(database.rows([1]), database).labels
    array([['B', 'A']], dtype=object)
    """
    models, databases = _one_of_each(queries, database)
    first = models[0]
    if not 0 <= head_weight <= 1:
        raise ValueError(
            f"`head_weight` must be from 0 to 1. {received(head_weight=head_weight)}"
        )
    positive_integer(top, "top")
    indexes = [
        d if isinstance(d, Index) else Index(d, reduce, implementation)
        for d in databases
    ]
    _check_models(models, indexes, head_weight)
    head_columns = [_columns(q, index) for q, index in zip(models, indexes)]
    ids = first.table["image_id"].to_list()
    step = min(index.block_size for index in indexes)
    parts = []
    for start in range(0, len(first), step):
        block = slice(start, start + step)
        left_out = ids[block] if leave_one_out else None
        single = [
            _scores(q, index, columns, block, head_weight, left_out)
            for q, index, columns in zip(models, indexes, head_columns)
        ]
        # A mean of raw cosines would be dominated by the model with the largest spread.
        standard = single if len(single) == 1 else [_standard(s) for s in single]
        scores = np.mean(standard, axis=0)
        parts.append(_ranking(scores, indexes[0], first, block, top, left_out))
    return _joined(parts, min(top, len(indexes[0].classes)))


def _standard(scores: np.ndarray) -> np.ndarray:
    """Standardizes each row to mean 0 and standard deviation 1."""
    spread = np.maximum(scores.std(axis=1, keepdims=True), 1e-6)
    return (scores - scores.mean(axis=1, keepdims=True)) / spread


def _one_of_each(queries: Any, database: Any) -> tuple[list[Embeddings], list[Any]]:
    models = [queries] if isinstance(queries, Embeddings) else list(queries)
    single = isinstance(database, Embeddings | Index)
    databases = [database] if single else list(database)
    if not models or len(models) != len(databases):
        raise ValueError(
            "`queries` and `database` must both have one item for each model. "
            f"{received(queries=len(models), database=len(databases))}"
        )
    return models, databases


def _check_models(
    models: list[Embeddings], indexes: list[Index], head_weight: float
) -> None:
    ids = models[0].table["image_id"].to_list()
    for number, (queries, index) in enumerate(zip(models, indexes)):
        sizes = [queries.features.shape[1], index.features.shape[1]]
        check_usable(queries, "queries")
        reason = ""
        if sizes[0] != sizes[1]:
            reason = f"queries and database have different sizes {sizes}"
        elif queries.table["image_id"].to_list() != ids:
            reason = "its queries differ from those of the first, or in their order"
        elif index.classes != indexes[0].classes:
            reason = "its database has other animals than the first"
        elif head_weight and queries.logits is None:
            reason = "`head_weight` needs logits, and the queries have none"
        if reason:
            raise ValueError(f"Model {number}: {reason}. {received(model=number)}")


def _columns(queries: Embeddings, index: Index) -> np.ndarray:
    """The column in the logits for every class of the index, -1 if there is none."""
    place = {name: i for i, name in enumerate(queries.classes or ())}
    return np.array([place.get(name, -1) for name in index.classes])


def _scores(
    queries: Embeddings,
    index: Index,
    columns: np.ndarray,
    block: slice,
    head_weight: float,
    left_out: list[str] | None,
) -> np.ndarray:
    scores = index.scores([view[block] for view in queries.views], left_out)
    if head_weight:
        assert queries.logits is not None
        known = columns >= 0
        logits = queries.logits[block][:, columns[known]]
        scores[:, known] = (1 - head_weight) * scores[:, known] + head_weight * logits
    return scores


def _ranking(
    scores: np.ndarray,
    index: Index,
    queries: Embeddings,
    block: slice,
    top: int,
    left_out: list[str] | None,
) -> Ranking:
    codes = best_columns(scores, top)
    return Ranking(
        np.asarray(index.classes, object)[codes],
        np.take_along_axis(scores, codes, axis=1),
        index.best_images([queries.features[block]], codes, left_out),
    )


def _joined(parts: list[Ranking], top: int) -> Ranking:
    nothing = Ranking(np.empty((0, top), object), np.empty((0, top)))
    parts = parts or [nothing]
    images = [np.empty(p.labels.shape) if p.images is None else p.images for p in parts]
    return Ranking(
        np.concatenate([p.labels for p in parts]),
        np.concatenate([p.scores for p in parts]),
        np.concatenate(images),
    )
