"""How well a network finds animals, while it is trained."""

from __future__ import annotations

import pandas as pd

from keras_involution.whale_id.embeddings import Embeddings, embed_photographs
from keras_involution.whale_id.metrics import auroc, cumulative_match, map_at_5
from keras_involution.whale_id.model import EmbeddingNetwork
from keras_involution.whale_id.pipeline import Photographs
from keras_involution.whale_id.retrieve.identify import identify
from keras_involution.whale_id.tables import OPEN_CLASS


def validate(
    network: EmbeddingNetwork,
    database: pd.DataFrame,
    queries: pd.DataFrame,
    box_margin: float = 0.0,
) -> dict[str, float]:
    """Closed-set metrics: queries whose animal is in the database.

    Args:
        network: `EmbeddingNetwork`.
        database: DataFrame of known photographs.
        queries: DataFrame of photographs to find.
        box_margin: Float, widens boxes by this fraction of their sides.

    Returns:
        Dictionary: "top_1", "top_5", "map_at_5", if a query can be read whose animal
        is in the database; and "auroc" of telling known animals from new ones, if the
        queries have both.
    """
    known = database[~database["identity"].isin(OPEN_CLASS)]
    asked = _embed(network, queries, box_margin)
    ranking = identify(asked, _embed(network, known, box_margin), top=5)
    is_new = ~asked.table["identity"].isin(known["identity"]).to_numpy()
    truths = asked.table["identity"][~is_new].to_list()
    if not truths:
        return {}
    labels = ranking.labels[~is_new].tolist()
    hits = cumulative_match(truths, labels, (1, 5))
    metrics = {
        "top_1": hits[1],
        "top_5": hits[5],
        "map_at_5": map_at_5(truths, labels),
    }
    if is_new.any():
        metrics["auroc"] = auroc(ranking.scores[:, 0].tolist(), is_new.tolist())
    return metrics


def _embed(
    network: EmbeddingNetwork, table: pd.DataFrame, box_margin: float
) -> Embeddings:
    photographs = Photographs(table, network.image_size, box_margin, on_error="skip")
    rows, features = embed_photographs(network, photographs)
    chosen = table.iloc[rows]
    if "image_id" not in chosen:
        chosen = chosen.assign(image_id=chosen["path"])
    return Embeddings(features, chosen)
