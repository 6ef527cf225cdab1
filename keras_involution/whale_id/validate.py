"""Validation of a network during training."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from keras_involution.whale_id.embeddings import Embeddings
from keras_involution.whale_id.metrics import auroc, cumulative_match, map_at_5
from keras_involution.whale_id.retrieve.identify import identify
from keras_involution.whale_id.tables import OPEN_CLASS


def validate(
    embed: Callable[[pd.DataFrame], Embeddings],
    database: pd.DataFrame,
    queries: pd.DataFrame,
) -> dict[str, float]:
    """Closed-set metrics: queries whose animal is in the database.

    Args:
        embed: Function from rows to the `Embeddings` of the usable rows.
        database: DataFrame of known photos.
        queries: DataFrame of query photos.

    Returns:
        Dictionary with "top_1", "top_5" and "map_at_5", if there is a readable query
        whose animal is in the database, and "auroc" for the detection of new animals,
        if the queries have known and new animals.
    """
    known = database[~database["identity"].isin(OPEN_CLASS)]
    asked = embed(queries)
    ranking = identify(asked, embed(known), top=5)
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
