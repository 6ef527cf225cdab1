"""The answers for QUERIES, which several commands write in different formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cloup

from keras_involution.whale_id.cli._collections import build_matcher
from keras_involution.whale_id.cli._models import check_same_photos, load_pairs
from keras_involution.whale_id.cli._options import calibration_option

if TYPE_CHECKING:
    import numpy as np

    from keras_involution.whale_id import Embeddings, Ranking
    from keras_involution.whale_id.fusion import Candidates


@dataclass(frozen=True)
class Answers:
    """Rankings with their queries and database.

    Attributes:
        ranking: `Ranking` of the queries.
        queries: `Embeddings` of the queries.
        database: `Embeddings` of the known photos.
        probabilities: Array with the shape of the labels, or `None`.
        candidates: `Candidates` that the ranking was made from.
        left: Number of queries beyond the limit, which have no answer.
    """

    ranking: Ranking
    queries: Embeddings
    database: Embeddings
    probabilities: np.ndarray | None
    candidates: Candidates
    left: int


answer_options = cloup.option_group(
    "Answers",
    calibration_option(
        ": probabilities, and the rank of a new animal. Without it there are ranks "
        "only."
    ),
    cloup.option("--leave-one-out", is_flag=True, help="No photo matches itself."),
)


def find_answers(
    leave_one_out: bool = False, limit: int | None = None, **options: Any
) -> Answers:
    """Ranks the animals of the database for the first queries by all evidence."""
    from keras_involution.whale_id.fusion.scorers import with_models

    models, databases = load_pairs(options)
    check_same_photos(models)
    check_same_photos(databases)
    queries, database = with_models(models), with_models(databases)
    count = len(queries) if limit is None else min(limit, len(queries))
    left = len(queries) - count
    queries = queries.rows(range(count))
    found = build_matcher(database, options).rank(
        queries,
        top=options["top"],
        leave_out="photo" if leave_one_out else "nothing",
    )
    ranking, probabilities = found.ranking, found.probabilities
    if found.new_probabilities is not None:
        ranking, probabilities = found.with_new()
    return Answers(ranking, queries, database, probabilities, found, left)
