"""Test metrics of embeddings, and choices made on validation photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._measure.report import Row

METRICS = (
    ("top-1", "known animals", "top-1"),
    ("top-5", "known animals", "top-5"),
    ("MAP@5", "known animals", "MAP@5"),
    (">= 10 frames", None, ">= 10: top-1"),
    ("AUROC", "open", "AUROC of new"),
    ("open MAP@5", "open", "MAP@5"),
    ("of known", "open", "MAP@5 of known"),
    ("of new", "open", "MAP@5 of new"),
    ("BAKS", "open", "BAKS"),
    ("BAUS", "open", "BAUS"),
)
HEAD_WEIGHTS = (0.0, 0.2, 0.5, 0.8)


def metrics_of(
    models: Sequence[Any],
    table: pd.DataFrame,
    answers: Any = None,
    head_weight: float = 0,
) -> Row:
    """Computes the metrics of the test photos for one or several models.

    Args:
        models: Sequence of `Embeddings`; several are used together.
        table: Table of all photos.
        answers: Value returned by `fitted_answers`; without it, "new animal" is never
            an answer.
        head_weight: Float, weight of the head's logits.
    """
    from keras_involution.whale_id import evaluate, identify
    from keras_involution.whale_id.fusion import Candidates

    databases = [m.rows(m.table["split"] == "train") for m in models]
    queries = [m.rows(m.table["split"].str.startswith("test")) for m in models]
    ranking = identify(queries, databases, top=10, head_weight=head_weight)
    tables = queries[0].table, databases[0].table
    candidates = None
    if answers is not None:
        candidates = Candidates(ranking, tables[0], *answers(ranking.scores))
    result = evaluate(ranking, *tables, candidates=candidates).rows
    found = {}
    for name, group, row in METRICS:
        chosen = result[result["name"] == row]
        chosen = chosen if group is None else chosen[chosen["group"] == group]
        if len(chosen):
            found[name] = float(chosen["value"].iloc[0])
    return found


def chosen_head_weight(embeddings: Any, validation: pd.DataFrame) -> float:
    """Returns the weight of the head's logits with the best validation MAP@5."""
    if embeddings.logits is None:
        return 0.0
    return max(
        HEAD_WEIGHTS, key=lambda weight: _known_map([embeddings], validation, weight)
    )


def chosen_partner(
    embeddings: Any, validation: pd.DataFrame, fixed: dict[str, Any]
) -> str:
    """Returns the features with the best validation MAP@5 in combination."""
    return max(
        fixed, key=lambda name: _known_map([embeddings, fixed[name]], validation)
    )


def _known_map(
    models: Sequence[Any], validation: pd.DataFrame, head_weight: float = 0.0
) -> float:
    """Returns MAP@5 of the known animals in the validation photos."""
    from keras_involution.whale_id import identify, map_at_5

    databases, queries = zip(*(_parts(model, validation) for model in models))
    truths = queries[0].table["identity"]
    is_known = truths.isin(databases[0].table["identity"])
    known = [part.rows(is_known) for part in queries]
    ranking = identify(known, databases, top=5, head_weight=head_weight)
    return map_at_5(truths[is_known].to_list(), ranking.labels)


def fitted_answers(
    embeddings: Any, validation: pd.DataFrame, head_weight: float = 0.0
) -> Any:
    """Fits the probability that an animal is new on the validation photos."""
    from keras_involution.whale_id import identify
    from keras_involution.whale_id.fusion import AnswerModel
    from keras_involution.whale_id.metrics.ranks import ranks_of

    database, queries = _parts(embeddings, validation)
    truths = queries.table["identity"]
    ranking = identify(queries, database, top=10, head_weight=head_weight)
    ranks = ranks_of(truths.to_list(), list(ranking.labels))
    is_new = ~truths.isin(database.table["identity"]).to_numpy()
    return AnswerModel.fit(ranking.scores, ranks, is_new, f"{len(truths)} photos")


def _parts(embeddings: Any, validation: pd.DataFrame) -> tuple[Any, Any]:
    split = validation.set_index("image_id")["split"]
    where = np.asarray(embeddings.table["image_id"].map(split))
    return embeddings.rows(where == "train"), embeddings.rows(where == "val")


def mean_rows(rows: Sequence[Row]) -> list[Row]:
    """Returns mean and standard deviation over the seeds for each arm."""
    found: list[Row] = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        part = pd.DataFrame([row for row in rows if row["arm"] == arm])
        numbers = part.drop(columns=["arm", "seed"]).astype("float64")
        found.append({"arm": arm, "seed": "mean", **numbers.mean().to_dict()})
        if len(part) > 1:
            found.append({"arm": arm, "seed": "sd", **numbers.std().to_dict()})
    return found
