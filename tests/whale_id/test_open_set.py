"""Thresholds against exhaustive search."""

from __future__ import annotations

import numpy as np
import pytest

from keras_involution.whale_id import (
    Ranking,
    Threshold,
    choose_threshold,
    insert_new,
    map_at_5,
    open_truths,
    rank_scores,
)
from keras_involution.whale_id.open_set import NEW_LABEL
from tests.marks import one_backend

pytestmark = one_backend

NAMES = [f"w{i}" for i in range(12)]


def validation(count=120, seed=0, scale=1.0):
    """Rankings in which the right animal, where there is one, often scores more."""
    random = np.random.default_rng(seed)
    scores = random.normal(0.4, 0.1, (count, len(NAMES)))
    truths = random.choice([*NAMES, NEW_LABEL, NEW_LABEL, NEW_LABEL], count).tolist()
    for row, truth in enumerate(truths):
        if truth in NAMES:
            scores[row, NAMES.index(truth)] += 0.25
    return rank_scores(scale * scores, NAMES), truths


def test_the_place_of_the_new_label():
    ranking = Ranking([list("ABC")] * 3, [[0.9, 0.5, 0.1]] * 3, [[3, 4, 5]] * 3)
    new = insert_new(ranking, np.array([0.95, 0.5, 0.0]), "new")
    assert [" ".join(row) for row in new.labels] == [
        "new A B C",
        "A B new C",
        "A B C new",
    ]
    assert new.images.tolist() == [[-1, 3, 4, 5], [3, 4, -1, 5], [3, 4, 5, -1]]
    assert (np.diff(new.scores) <= 0).all()
    with pytest.raises(ValueError, match=r"Received: threshold=\(2,\), queries=3"):
        insert_new(ranking, np.zeros(2))


def test_the_grid_finds_the_best_threshold():
    ranking, truths = validation()
    threshold = choose_threshold(ranking, truths)

    def value(at):
        return map_at_5(truths, insert_new(ranking, at).labels)

    best = max(value(at) for at in np.linspace(0, 1, 700))
    assert value(threshold.value) >= best - 0.005
    assert value(threshold.value) > value(0) + 0.02
    for at, fraction, expected in threshold.curve[::20]:
        assert value(at) == pytest.approx(expected)
        assert (ranking.scores[:, 0] < at).mean() == fraction
    assert "120 validation queries" in threshold.protocol


def test_fraction():
    ranking, truths = validation()
    threshold = choose_threshold(ranking, truths, "fraction", fraction=0.3)
    first = insert_new(ranking, threshold.value).labels[:, 0]
    assert (first == NEW_LABEL).mean() == pytest.approx(0.3)
    assert "30.0%" in threshold.protocol
    few = choose_threshold(ranking, truths, "fraction", fraction=0.01)
    assert few.value < threshold.value


def test_weights():
    ranking, truths = validation()
    seldom = choose_threshold(ranking, truths, new_fraction=0.02)
    often = choose_threshold(ranking, truths, new_fraction=0.9)
    assert seldom.value < choose_threshold(ranking, truths).value < often.value
    assert "weighted to 90.0% new" in often.protocol
    only_new = [NEW_LABEL] * len(truths)
    with pytest.raises(ValueError, match="known and new"):
        choose_threshold(ranking, only_new, new_fraction=0.5)


def test_species():
    easy, easy_truths = validation(scale=3)
    hard, hard_truths = validation(seed=1)
    both = Ranking(
        np.concatenate([easy.labels, hard.labels]),
        np.concatenate([easy.scores, hard.scores]),
    )
    species = ["beluga"] * 120 + ["fin_whale"] * 110 + ["rare"] * 9 + [None]
    truths = easy_truths + hard_truths
    threshold = choose_threshold(both, truths, "species", species=species)
    assert set(threshold.by_species) == {"beluga", "fin_whale"}
    alone = choose_threshold(easy, easy_truths)
    assert threshold.by_species["beluga"] == alone.value
    values = threshold.values(species)
    assert values[0] == alone.value and values[-1] == values[-2] == threshold.value
    whole = map_at_5(truths, insert_new(both, threshold.value).labels)
    assert map_at_5(truths, insert_new(both, values).labels) > whole


def test_files(tmp_path):
    ranking, truths = validation()
    threshold = choose_threshold(
        ranking, truths, "species", species=["a"] * 60 + ["b"] * 60
    )
    threshold.save(tmp_path / "t.json")
    again = Threshold.load(tmp_path / "t.json")
    assert again == threshold
    with pytest.raises(ValueError, match="--force"):
        threshold.save(tmp_path / "t.json")
    (tmp_path / "c.json").write_text("{}")
    for name in ("c.json", "nowhere.json"):
        with pytest.raises(ValueError, match="Received: path="):
            Threshold.load(tmp_path / name)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "booster"},
        {"method": "fraction"},
        {"fraction": 0.2},
        {"method": "fraction", "fraction": 1.5},
        {"new_fraction": 0.0},
        {"method": "species"},
        {"method": "species", "species": ["a"]},
        {"truths": ["A"]},
    ],
)
def test_wrong_arguments(changes):
    ranking, truths = validation(10)
    arguments = {"ranking": ranking, "truths": truths}
    with pytest.raises(ValueError, match="Received: "):
        choose_threshold(**arguments | changes)


def test_truths():
    assert open_truths(["A", "B", "unknown"], ["A"], "new") == ["A", "new", "new"]
