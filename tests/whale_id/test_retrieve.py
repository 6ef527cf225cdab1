"""Search, class scores and rankings equal a plain computation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from keras_involution.whale_id import (
    Embeddings,
    Index,
    Ranking,
    identify,
    rank_scores,
    results_table,
    write_results,
)
from tests.marks import one_backend
from tests.whale_id.image_files import listed

pytestmark = one_backend

COUNTS = {"B": 3, "A": 2, "unknown": 2, "C": 1}


def embeddings(counts, seed=0, size=6, **more):
    table = listed(counts)
    features = np.random.default_rng(seed).normal(size=(len(table), size))
    return Embeddings(features, table, **more)


def flips(e, seed=9):
    noise = np.random.default_rng(seed).normal(size=e.features.shape)
    return Embeddings(e.features, e.table, e.features + noise)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def plain_scores(queries, database, reduce):
    """Scores (Q, C) by the definition, pair by pair."""
    animals = sorted(set(database.table["identity"]) - {"unknown"})
    result = np.zeros((len(queries), len(animals)))
    for q in range(len(queries)):
        for c, animal in enumerate(animals):
            rows = np.flatnonzero(database.table["identity"] == animal)
            own = [view[row] for view in database.views for row in rows]
            if reduce == "center":
                own = [np.mean([v / np.linalg.norm(v) for v in own], axis=0)]
            views = [max(cosine(view[q], v) for v in own) for view in queries.views]
            result[q, c] = np.mean(views)
    return animals, result


@pytest.mark.parametrize("reduce", ["best", "center"])
@pytest.mark.parametrize("flipped", [False, True])
def test_scores(reduce, flipped, monkeypatch):
    database, queries = embeddings(COUNTS), embeddings({"A": 5}, seed=1)
    if flipped:
        database, queries = flips(database), flips(queries)
    animals, expected = plain_scores(queries, database, reduce)
    index = Index(database, reduce)
    assert index.classes == tuple(animals)
    np.testing.assert_allclose(index.scores(queries.views), expected, atol=1e-6)

    monkeypatch.setattr("keras_involution.whale_id.retrieve.index._BLOCK_VALUES", 9)
    assert index.block_size < len(queries)
    ranking = identify(queries, database, top=2, reduce=reduce)
    order = np.argsort(-expected, axis=1)[:, :2]
    assert (ranking.labels == np.array(animals)[order]).all()
    np.testing.assert_allclose(
        ranking.scores, np.take_along_axis(expected, order, 1), atol=1e-6
    )


def test_the_most_similar_photo_is_named():
    database, queries = embeddings(COUNTS), embeddings({"A": 5}, seed=1)
    ranking = identify(queries, database)
    for q, labels in enumerate(ranking.labels):
        for k, label in enumerate(labels):
            row = ranking.images[q, k]
            assert database.table["identity"][row] == label
            similarity = cosine(database.features[row], queries.features[q])
            np.testing.assert_allclose(similarity, ranking.scores[q, k], atol=1e-6)


@pytest.mark.parametrize("reduce", ["best", "center"])
def test_faiss_agrees_with_numpy(reduce):
    pytest.importorskip("faiss", reason="faiss is not installed")
    database, queries = embeddings(COUNTS), embeddings({"A": 5}, seed=1)
    results = [
        identify(queries, database, reduce=reduce, implementation=implementation)
        for implementation in ("numpy", "faiss")
    ]
    assert (results[0].labels == results[1].labels).all()
    np.testing.assert_allclose(results[0].scores, results[1].scores, atol=1e-5)
    few = Index(database, implementation="faiss", neighbors=1).scores(queries.views)
    assert ((few > -1).sum(axis=1) == 1).all()


def test_the_head_is_mixed_in():
    database = embeddings(COUNTS)
    plain = embeddings({"A": 2}, seed=1)
    logits = np.array([[0.5, 0.1, 0.3], [0.2, 0.9, 0.4]])
    queries = Embeddings(plain.features, plain.table, None, logits, ("C", "Z", "A"))
    alone = Index(database).scores(plain.views)  # A, B, C; the head does not know B.
    expected = alone.copy()
    expected[:, 0] = 0.25 * alone[:, 0] + 0.75 * logits[:, 2]
    expected[:, 2] = 0.25 * alone[:, 2] + 0.75 * logits[:, 0]
    ranking = identify(queries, database, head_weight=0.75)
    again = rank_scores(expected, ("A", "B", "C"))
    assert (ranking.labels == again.labels).all()
    np.testing.assert_allclose(ranking.scores, again.scores, atol=1e-6)
    with pytest.raises(ValueError, match="needs logits"):
        identify(plain, database, head_weight=0.5)


def test_models_are_averaged_in_standard_deviations():
    databases = [embeddings(COUNTS, seed) for seed in (0, 1)]
    queries = [embeddings({"A": 4}, seed) for seed in (2, 3)]
    single = [Index(d).scores(q.views) for d, q in zip(databases, queries)]
    standard = [
        (s - s.mean(1, keepdims=True)) / s.std(1, keepdims=True) for s in single
    ]
    scores = np.mean(standard, 0)
    again = rank_scores(scores, ("A", "B", "C"))
    ranking = identify(queries, [databases[0], Index(databases[1])])
    assert (ranking.labels == again.labels).all()
    np.testing.assert_allclose(ranking.scores, again.scores, atol=1e-5)


def test_a_photo_is_not_its_own_candidate():
    database = flips(embeddings(COUNTS))
    itself = identify(database, database)
    assert (itself.scores[:, 0] > 0.5).all()
    others = identify(database, database, leave_one_out=True)
    own = np.arange(len(database))[:, None] == others.images
    assert not own.any()
    alone = others.rows(np.flatnonzero(database.table["identity"] == "C"))
    assert alone.labels[0, -1] == "C" and alone.scores[0, -1] == -1
    assert alone.images[0, -1] == -1
    with pytest.raises(ValueError, match="Received: reduce='center'"):
        identify(database, database, reduce="center", leave_one_out=True)


def test_equal_scores_keep_the_order_of_the_classes():
    scores = np.array([[0.5, 0.7, 0.7, 0.5, 0.5], [1, 1, 1, 1, 1]])
    ranking = rank_scores(scores, list("abcde"), top=4)
    assert ranking.labels.tolist() == [list("bcad"), list("abcd")]
    assert rank_scores(scores, list("abcde"), top=9).labels.shape == (2, 5)


def test_no_queries():
    ranking = identify(embeddings({"A": 2}).rows([]), embeddings(COUNTS), top=2)
    assert ranking.labels.shape == ranking.images.shape == (0, 2)


def test_unusable_rows_are_named():
    database, queries = embeddings(COUNTS), embeddings({"A": 2})
    queries.features[1] = 0
    with pytest.raises(ValueError, match=r"queries.*image_ids=\['A_1'\]"):
        identify(queries, database)
    with pytest.raises(ValueError, match=r"database.*image_ids=\['A_1'\]"):
        identify(database, queries)


@pytest.mark.parametrize(
    "changes",
    [
        {"database": embeddings(COUNTS, size=5)},
        {"database": embeddings({"unknown": 2})},
        {"queries": []},
        {"top": 0},
        {"head_weight": 1.5},
        {"reduce": "worst"},
        {"implementation": "magic"},
        {"queries": [embeddings({"A": 2})] * 2},
        {
            "queries": [embeddings({"A": 2}), embeddings({"B": 2})],
            "database": [embeddings(COUNTS)] * 2,
        },
        {
            "queries": [embeddings({"A": 2})] * 2,
            "database": [embeddings(COUNTS), embeddings({"A": 1})],
        },
    ],
)
def test_wrong_arguments(changes):
    arguments = {"queries": embeddings({"A": 2}), "database": embeddings(COUNTS)}
    with pytest.raises(ValueError, match="Received: "):
        identify(**arguments | changes)


def test_wrong_rankings():
    with pytest.raises(ValueError, match="Received: labels="):
        Ranking([["A"]], [[0.1, 0.2]])
    with pytest.raises(ValueError, match="Received: scores="):
        rank_scores(np.zeros((1, 3)), ["A"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_results(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    database, queries = embeddings(COUNTS), embeddings({"NA": 2}, seed=1)
    ranking = identify(queries, database, top=2)
    results = results_table(ranking, queries.table, database.table)
    assert results["image_id"].to_list() == ["NA_0", "NA_0", "NA_1", "NA_1"]
    assert results["rank"].to_list() == [1, 2, 1, 2]
    path = tmp_path / f"r{suffix}"
    write_results(results, path)
    if suffix == ".npz":
        with np.load(path) as file:
            again = pd.DataFrame({name: file[name] for name in file.files})
    else:
        read = pd.read_csv if suffix == ".csv" else pd.read_parquet
        again = read(path)
    pd.testing.assert_frame_equal(results, again, check_dtype=False)
    with pytest.raises(ValueError, match="--force"):
        write_results(results, path)
    with pytest.raises(ValueError, match="Received: queries=1"):
        results_table(ranking, queries.table.head(1))
