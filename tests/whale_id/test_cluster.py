"""Groups of photos of unknown animals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from keras_involution.whale_id import Embeddings
from keras_involution.whale_id.cluster import (
    cluster,
    cluster_metrics,
    pair_probabilities,
)
from keras_involution.whale_id.fusion import Matcher
from keras_involution.whale_id.fusion.scorers import default_scorers
from tests.marks import one_backend
from tests.whale_id.command import run
from tests.whale_id.keypoints import with_random_keypoints
from tests.whale_id.test_fusion import collection

pytestmark = one_backend


def test_groups_of_unknown_animals():
    matcher = Matcher(collection(30, 4, 0.2, seed=1)).fit()
    photos = collection(12, 3, 0.2)
    truths = photos.table["identity"].copy()
    photos.table.loc[9:, "identity"] = "unknown"
    likely = pair_probabilities(photos, matcher.calibration, matcher.scorers)
    np.testing.assert_array_equal(likely, likely.T)
    found = cluster(photos, likely)
    metrics = cluster_metrics(found["group"], truths)
    assert metrics["n"] == 36 and metrics["ARI"] > 0.7
    assert metrics["pairwise precision"] > 0.7 < metrics["pairwise recall"]
    assert (found["proposal"][:9] == truths[:9]).all()
    assert found["proposal"][9:].str.startswith("new_").mean() > 0.7
    alone = found.groupby("group")["image_id"].transform("size") == 1
    np.testing.assert_array_equal(found["probability"].isna(), alone)


def test_a_photo_without_keypoints_joins_no_other():
    photos = with_random_keypoints(collection(20, 3, 0.2), empty=[0, 5])
    matcher = Matcher(photos).fit()
    likely = pair_probabilities(photos, matcher.calibration)
    missing = np.isin(np.arange(60), [0, 5])
    np.testing.assert_array_equal(np.isnan(likely), missing[:, None] | missing[None])
    found = cluster(photos, likely, anchored=False, threshold=0.01)
    sizes = found.groupby("group")["image_id"].transform("size")
    assert (sizes[missing] == 1).all() and (sizes > 1).any()
    found = cluster(photos, likely)  # known to be of one animal
    assert found["group"][0] == found["group"][1]
    assert np.isnan(found["probability"][0])
    assert found["probability"][1] == pytest.approx(likely[1, 2])


def test_known_animals_are_anchors():
    table = pd.DataFrame({"image_id": list("abcd"), "path": "p"})
    table["identity"] = ["A", "B", "A", "unknown"]
    four = Embeddings(np.eye(4), table)
    likely = np.full((4, 4), 0.9)
    likely[0, 2] = likely[2, 0] = 0.0
    found = cluster(four, likely)
    assert found["group"][0] == found["group"][2] != found["group"][1]
    free = cluster(four, likely, anchored=False, threshold=0.95)
    assert free["group"].tolist() == [0, 1, 2, 3]
    assert free["proposal"].tolist() == ["new_1", "new_2", "new_3", "new_4"]
    assert cluster(four.rows([3]), np.ones((1, 1)))["group"].tolist() == [0]
    with pytest.raises(ValueError, match=r"Received: probabilities=\(2, 2\)"):
        cluster(four, np.ones((2, 2)))
    with pytest.raises(ValueError, match="Received: threshold=2"):
        cluster(four, likely, threshold=2)


@pytest.mark.parametrize(
    ("groups", "truths", "expected"),
    [
        ([0, 0, 1, 1], "AABB", (1, 1, 1)),
        ([0, 0, 0, 0], "AABB", (0, 1 / 3, 1)),
        ([0, 1, 2, 3], "AABB", (0, np.nan, 0)),
    ],
)
def test_metrics(groups, truths, expected):
    found = cluster_metrics([*groups, 9], [*truths, "unknown"])
    assert found.pop("n") == 4
    np.testing.assert_allclose(list(found.values()), expected, atol=1e-9)


def test_the_command(tmp_path):
    collection(20, 4, 0.2).save(tmp_path / "e.npz")
    out = tmp_path / "groups.csv"
    text = run("cluster", tmp_path / "e.npz", out, "--not-anchored")
    assert "80 photos" in text and "ARI: 1.000" in text
    assert set(pd.read_csv(out)) >= {"image_id", "group", "proposal"}
    assert "--force" in run("cluster", tmp_path / "e.npz", out, status=1)
    collection(3, 1).save(tmp_path / "few.npz")
    text = run("cluster", tmp_path / "few.npz", tmp_path / "x.csv", status=1)
    assert "--save-calibration" in text and "Received: reason=" in text


def test_a_calibration_holds_for_the_pairs_that_it_was_fitted_with(tmp_path):
    photos = with_random_keypoints(collection(20, 4, 0.2))
    photos.save(tmp_path / "e.npz")
    scorers = default_scorers([photos], pairs="verified")
    Matcher(photos, scorers).fit().calibration.save(tmp_path / "c.json")
    given = ("cluster", tmp_path / "e.npz", tmp_path / "groups.csv")
    given += ("--calibration", tmp_path / "c.json")
    assert "without these scorers" in run(*given, status=1)
    assert "80 photos" in run(*given, "--pairs", "verified")
