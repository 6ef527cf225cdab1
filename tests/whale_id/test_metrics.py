"""The metrics equal manual results and plain definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from keras_involution.whale_id import map_at_5
from keras_involution.whale_id.metrics import (
    auroc,
    average_precisions,
    baks,
    baus,
    bootstrap_interval,
    cumulative_match,
    frame_distances,
    image_average_precisions,
    paired_difference,
)
from keras_involution.whale_id.metrics.frames import bands
from tests.marks import one_backend

pytestmark = one_backend

# By Kaggle's rules; a repeated answer uses up its place.
KAGGLE = [
    ("A", "A B C D E", 1),
    ("A", "B A C D E", 1 / 2),
    ("A", "B C D E A", 1 / 5),
    ("A", "B C D E F A", 0),
    ("new", "new A B C D", 1),
    ("new", "A new B C D", 1 / 2),
    ("A", "A", 1),
    ("A", "A B A C A", 1),
    ("A", "A A A A A", 1),
    ("A", "B A A C D", 1 / 2),
    ("A", "B B A C D", 1 / 3),
    ("A", "", 0),
]


@pytest.mark.parametrize(("truth", "labels", "expected"), KAGGLE)
def test_average_precision(truth, labels, expected):
    for predictions in (labels, labels.split(), np.array(labels.split(), object)):
        assert average_precisions([truth], [predictions]).tolist() == [expected]


def test_map_at_5():
    truths, predictions, _ = zip(*KAGGLE[:5])
    assert map_at_5(truths, predictions) == pytest.approx(0.54)
    assert np.isnan(map_at_5([], []))
    with pytest.raises(ValueError, match="Received: truths=1, predictions=2"):
        map_at_5(["A"], ["A", "B"])


def test_cumulative_match():
    truths = ["A"] * 4
    predictions = ["A", "B A", "B B B B B B A", "B"]
    assert cumulative_match(truths, predictions) == {1: 0.25, 5: 0.5, 10: 0.75}


def test_image_map_is_another_quantity():
    random = np.random.default_rng(0)
    database, queries = random.normal(size=(12, 4)), random.normal(size=(5, 4))
    names = list("AABBBCCDDDDE")
    own = list("ABCDZ")
    found = image_average_precisions(queries, database, own, names)
    assert np.isnan(found[4])
    for query, name, value in zip(queries, own, found):
        cosines = database @ query / np.linalg.norm(database, axis=1)
        right = np.array(names)[np.argsort(-cosines)] == name
        precisions = [right[: i + 1].mean() for i in np.flatnonzero(right)]
        if name != "Z":
            assert value == pytest.approx(np.mean(precisions))
    with pytest.raises(ValueError, match="Received: queries=5"):
        image_average_precisions(queries, database, own[:2], names)


def test_auroc_is_the_fraction_of_pairs():
    random = np.random.default_rng(0)
    scores, new = random.integers(0, 6, 40) / 5, random.random(40) < 0.4
    pairs = [(k > n) + (k == n) / 2 for k in scores[~new] for n in scores[new]]
    assert auroc(scores, new) == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc([0.1, 0.2], [True, True]))
    with pytest.raises(ValueError, match="Received: scores=1"):
        auroc([0.1], [True, False])


def test_baks_and_baus():
    identities = ["A", "A", "A", "B", "X", "X", "Y", "Y"]
    answers = ["A", "A", "new_individual", "A", "new_individual", "A", "B", "B"]
    new = [False] * 4 + [True] * 4
    assert baks(identities, answers, new) == pytest.approx((2 / 3 + 0) / 2)
    assert baus(identities, answers, new) == pytest.approx((1 / 2 + 0) / 2)
    assert np.isnan(baus(["A"], ["A"], [False]))
    with pytest.raises(ValueError, match="Received: identities=1"):
        baks(["A"], ["A"], [])


def test_bootstrap():
    right = np.arange(400) < 240
    interval = bootstrap_interval(right)
    assert interval == bootstrap_interval(right) != bootstrap_interval(right, seed=1)
    error = np.sqrt(0.6 * 0.4 / 400)
    assert interval == pytest.approx((0.6 - 1.96 * error, 0.6 + 1.96 * error), abs=0.01)
    low, high = bootstrap_interval(right, lambda drawn: float(np.max(drawn)))
    assert low == high == 1
    assert np.isnan(bootstrap_interval(np.array([]))).all()
    with pytest.raises(ValueError, match="Received: level=2"):
        bootstrap_interval(right, level=2)


def test_paired_differences_are_narrower():
    random = np.random.default_rng(0)
    first = random.random(300)
    second = first - 0.05 + random.normal(0, 0.01, 300)
    difference, (low, high) = paired_difference(first, second)
    assert 0.04 < low < difference < high < 0.06
    with pytest.raises(ValueError, match=r"Received: first=\(300,\)"):
        paired_difference(first, second[:5])


def test_frame_distances():
    database = pd.DataFrame(
        {"identity": list("AABC"), "photo_number": ["10", "40", "", "7"]}
    )
    queries = pd.DataFrame(
        {"identity": list("AAABCZ"), "photo_number": [11, 30, None, 4, 17, 7]}
    )
    distances = frame_distances(queries, database)
    np.testing.assert_array_equal(distances, [1, 10, np.nan, np.nan, 10, np.nan])
    rows = {name: mask.tolist() for name, mask in bands(distances).items()}
    assert rows["<= 1"] == [True] + [False] * 5
    assert rows[">= 10"] == [False, True, False, False, True, False]
    assert rows["not known"] == [False, False, True, True, False, True]
    assert sum(map(np.array, rows.values())).tolist() == [1] * 6
    with pytest.raises(ValueError, match="Received: column='counter'"):
        frame_distances(queries, database, "counter")
