"""Query expansion and k-reciprocal neighbors."""

from __future__ import annotations

import numpy as np
import pytest

from keras_involution.whale_id.fusion import FeatureScorer, Matcher
from keras_involution.whale_id.fusion.rerank import (
    expand_queries,
    k_reciprocal_similarities,
)
from keras_involution.whale_id.fusion.scorers import RERANKS, default_scorers
from tests.marks import one_backend
from tests.whale_id.test_fusion import collection

pytestmark = one_backend


def score(similarities: np.ndarray, queries, database) -> float:
    names = database.table["identity"].to_numpy(object)
    found = names[similarities.argmax(axis=1)]
    return float((found == queries.table["identity"].to_numpy(object)).mean())


@pytest.mark.parametrize("method", ["aqe", "k-reciprocal"])
def test_neighbors_of_the_same_animal_help(method):
    database, queries = collection(20, 8, 0.55), collection(20, 5, 0.55, seed=1)
    asked, known = queries.features, database.features
    plain = score(asked @ known.T, queries, database)
    if method == "aqe":
        similarities = expand_queries(asked, known, neighbors=4) @ known.T
    else:
        similarities = k_reciprocal_similarities(asked, known, neighbors=8)
    assert score(similarities, queries, database) > plain


def test_more_neighbors_than_photos():
    database, queries = collection(2, 1), collection(2, 1, seed=1)
    asked, known = queries.features, database.features
    assert np.isfinite(expand_queries(asked, known, neighbors=50)).all()
    assert np.isfinite(k_reciprocal_similarities(asked, known, neighbors=50)).all()
    with pytest.raises(ValueError, match="Received: weight=2"):
        k_reciprocal_similarities(asked, known, weight=2)


@pytest.mark.parametrize("rerank", RERANKS)
def test_queries_asked_together_do_not_count_for_each_other(rerank):
    database, queries = collection(20, 8, 0.55), collection(20, 5, 0.55, seed=1)
    scorer = FeatureScorer(rerank=rerank)
    whole = scorer(queries, database, None)
    first = scorer(queries.rows(range(3)), database, None)
    np.testing.assert_allclose(first, whole[:3], atol=1e-5)


def test_a_calibration_counts_for_one_second_look():
    database, queries = collection(20, 8, 0.55), collection(20, 5, 0.55, seed=1)
    matcher = Matcher(database, default_scorers([database], "aqe")).fit(queries)
    assert matcher.calibration is not None
    with pytest.raises(ValueError, match=r"Received: scorers=\['features', "):
        Matcher(database, calibration=matcher.calibration)


def test_a_scorer_takes_a_second_look():
    database, queries = collection(20, 8, 0.55), collection(20, 5, 0.55, seed=1)
    scores = {}
    for rerank in (None, *RERANKS):
        scorer = FeatureScorer(rerank=rerank)
        similarities = scorer(queries, database, None)
        pairs = np.array([[3, 5], [0, 7]])
        np.testing.assert_allclose(
            scorer(queries, database, pairs), similarities[[3, 0], [5, 7]], atol=1e-5
        )
        scores[rerank] = score(similarities, queries, database)
    assert min(scores[name] for name in RERANKS) >= scores[None]
    with pytest.raises(ValueError, match="Received: rerank='twice'"):
        FeatureScorer(rerank="twice")
