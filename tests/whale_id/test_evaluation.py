"""All metrics, computed by hand on a few queries."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from keras_involution.whale_id import Ranking, evaluate
from keras_involution.whale_id.evaluation_rows import _perfect_error
from keras_involution.whale_id.fusion import Candidates
from tests.marks import one_backend
from tests.whale_id.image_files import listed

pytestmark = one_backend


@pytest.fixture
def case():
    database = listed({"A": 2, "B": 1, "unknown": 3}, photo_number=[1, 50, 7, 0, 0, 0])
    queries = listed(
        {"A": 2, "B": 1, "C": 1, "unknown": 1},
        species=["beluga", "beluga", "fin_whale", "fin_whale", "beluga"],
        photo_number=[2, 70, 9, 1, 1],
    )
    labels = [["A", "B"], ["B", "A"], ["B", "A"], ["A", "B"], ["B", "A"]]
    scores = [[0.9, 0.3], [0.8, 0.7], [0.4, 0.1], [0.5, 0.4], [0.3, 0.2]]
    return Ranking(labels, scores), queries, database


def test_figures(case):
    ranking, queries, _ = case
    new = np.array([0.35, 0.2, 0.45, 0.42, 0.5])
    candidates = Candidates(ranking, queries, ranking.scores, new, "by hand")
    result = evaluate(*case, candidates=candidates)
    known = {"top-1": 2 / 3, "top-5": 1, "top-10": 1, "MAP@5": (1 + 0.5 + 1) / 3}
    for name, value in known.items():
        assert result.value("known animals", name) == pytest.approx(value)
    # With new animals: A new B | B A new | new B A | A new B | new B A
    expected = {
        "MAP@5": (1 + 0.5 + 0.5 + 0.5 + 1) / 5,
        "MAP@5 of known": (1 + 0.5 + 0.5) / 3,
        "MAP@5 of new": (0.5 + 1) / 2,
        "called new first": 2 / 5,
        "AUROC of new": 5 / 6,
        "BAKS": (1 / 2 + 0) / 2,
        "BAUS": (0 + 1) / 2,
    }
    for name, value in expected.items():
        assert result.value("open", name) == pytest.approx(value), name
    assert result.value("species", "beluga: top-1") == 0.5
    assert result.value("species", "fin_whale: MAP@5") == 1
    assert result.value("frames", "<= 1: top-1") == 1
    assert result.value("frames", ">= 10: top-1") == 0
    assert result.value("frames", "2 to 4: top-1") == 1
    assert result.protocol["probabilities"] == "by hand"
    assert "5, including 2 of" in result.protocol["queries"]
    assert "3 photos of 2 animals" in result.protocol["database"]
    rows = result.rows
    assert ((rows["low"] <= rows["value"]) & (rows["value"] <= rows["high"])).all()
    assert result.queries["rank"].to_list() == [1, 2, 1, np.inf, np.inf]


@pytest.mark.parametrize("new", [None, np.array([0.35, 0.2, np.nan, 0.42, 0.5])])
def test_queries_without_probabilities_count_in_the_ranking_only(case, new):
    ranking, queries, _ = case
    probabilities = ranking.scores.copy()
    probabilities[2] = np.nan
    candidates = Candidates(ranking, queries, probabilities, new, "by hand")
    result = evaluate(*case, candidates=candidates)
    assert result.value("known animals", "top-1") == pytest.approx(2 / 3)
    counts = result.rows.set_index(["group", "name"])["n"]
    assert counts["known animals", "top-1"] == 3
    assert set(counts["probabilities"]) == {4} == {result.reliability["n"].sum()}
    assert counts["open", "AUROC of new"] == (5 if new is None else 4)
    assert result.protocol["without probability"].startswith("1 of the queries: no k")
    condition = "" if new is not None else "; they hold if the animal is in the catalog"
    assert result.protocol["probabilities"] == f"by hand{condition}"
    if new is not None:
        new = np.full(5, np.nan)
        assert counts["open", "MAP@5"] == 5
    nothing = Candidates(ranking, queries, np.full((5, 2), np.nan), new, "by hand")
    result = evaluate(*case, candidates=nothing)
    assert result.reliability is None
    assert "probabilities" not in set(result.rows["group"])
    assert result.value("known animals", "MAP@5") == pytest.approx(2.5 / 3)


def test_without_probabilities_or_new_animals(case):
    ranking, queries, database = case
    result = evaluate(*case)
    opened = result.rows[result.rows["group"] == "open"]
    assert opened["name"].to_list() == ["AUROC of new"]
    closed = evaluate(ranking.rows([0, 1, 2]), queries.head(3), database)
    assert "open" not in set(closed.rows["group"])
    with pytest.raises(ValueError, match="Received: group='open'"):
        closed.value("open", "MAP@5")
    with pytest.raises(ValueError, match="Received: queries=4, ranking=5"):
        evaluate(ranking, queries.head(4), database)


def test_encounters_apart(case):
    """A has a photo of another encounter, B has none."""
    ranking, queries, database = case
    queries = queries.head(3).assign(encounter=["e1", "e1", "e2"])
    database = database.head(3).assign(encounter=["e1", "e3", "e2"])
    apart = Ranking([["A", "B"], ["B", "A"], ["A", "B"]], ranking.scores[:3])
    result = evaluate(ranking.rows([0, 1, 2]), queries, database, apart=apart)
    group = "no photo of the same encounter in the database"
    assert result.value(group, "top-1") == 0.5
    assert result.value(group, "MAP@5") == 0.75
    rows = result.rows[result.rows["group"] == group]
    assert rows["n"].to_list() == [2, 2]
    assert result.protocol[group].startswith("2 queries, encounters by the column")


def test_files(case, tmp_path):
    result = evaluate(*case)
    result.save(tmp_path / "e.json")
    content = json.loads((tmp_path / "e.json").read_text())
    assert content["protocol"] == result.protocol
    pd.testing.assert_frame_equal(pd.DataFrame(content["rows"]), result.rows)
    result.save(tmp_path / "e.csv")
    assert len(pd.read_csv(tmp_path / "e.csv")) == len(result.rows)
    with pytest.raises(ValueError, match="--force"):
        result.save(tmp_path / "e.csv")


def test_the_calibration_error_of_exact_probabilities():
    """Four answers per group with probability 0.5: the mean |k / 4 - 0.5| is 3/16."""
    _, _, value, low, high, n = _perfect_error(np.full(40, 0.5))
    assert value == pytest.approx(3 / 16, abs=0.01) and n == 40
    assert low < value - 0.05 and value + 0.05 < high
    assert _perfect_error(np.ones(40))[2] == 0
