"""How well a network finds animals, while it is trained."""

from __future__ import annotations

import numpy as np
import pandas as pd

from keras_involution.whale_id.assemble import UNKNOWN
from keras_involution.whale_id.embed import embed_photographs
from keras_involution.whale_id.model import EmbeddingNetwork
from keras_involution.whale_id.pipeline import Photographs


def validate(
    network: EmbeddingNetwork,
    database: pd.DataFrame,
    queries: pd.DataFrame,
    margin: float = 0.0,
) -> dict[str, float]:
    """Closed-set figures: queries whose animal is in the database.

    Args:
        network: `EmbeddingNetwork`.
        database: DataFrame of known photographs.
        queries: DataFrame of photographs to find.
        margin: Float, widens boxes by this share of their sides.

    Returns:
        Dictionary: "top_1", "top_5", "map_at_5"; and "auroc" of telling known animals
        from new ones, if the queries have both.
    """
    known = queries["identity"].isin(set(database["identity"]) - set(UNKNOWN))
    kept, features = _embed(network, database, margin)
    names = database["identity"].to_numpy()[kept]
    asked, wanted = _embed(network, queries, margin)
    scores, classes = class_scores(wanted @ features.T, names)
    truths = queries["identity"].to_numpy()[asked]
    is_known = known.to_numpy()[asked]
    places = _places(scores[is_known], classes, truths[is_known])
    figures = {
        "top_1": float(np.mean(places == 0)),
        "top_5": float(np.mean(places < 5)),
        "map_at_5": float(np.mean(np.where(places < 5, 1 / (places + 1), 0))),
    }
    if is_known.any() and not is_known.all():
        best = scores.max(axis=1)
        pairs = best[is_known][:, None] - best[~is_known][None]
        figures["auroc"] = float(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
    return figures


def class_scores(
    similarity: np.ndarray, names: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The best similarity of each query to each identity.

    Args:
        similarity: Array (queries, N).
        names: Identities (N,).

    Returns:
        Array (queries, classes), and the sorted identities (classes,).
    """
    classes, numbers = np.unique(names.astype(str), return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[order], np.arange(len(classes)))
    return np.maximum.reduceat(similarity[:, order], starts, axis=1), classes


def _embed(
    network: EmbeddingNetwork, table: pd.DataFrame, margin: float
) -> tuple[np.ndarray, np.ndarray]:
    photographs = Photographs(table, network.image_size, margin, on_error="skip")
    return embed_photographs(network, photographs)


def _places(scores: np.ndarray, classes: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """How many identities stand before the true one, equal ones in their order."""
    true = np.searchsorted(classes, truths.astype(str))
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.argmax(order == true[:, None], axis=1)
