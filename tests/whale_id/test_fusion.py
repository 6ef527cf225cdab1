"""Calibrated fusion of several scorers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from keras_involution.whale_id import Embeddings
from keras_involution.whale_id.fusion import (
    Candidates,
    FeatureScorer,
    FusionCalibration,
    LocalScorer,
    Matcher,
    with_local_features,
)
from keras_involution.whale_id.fusion.calibration import AnswerModel
from keras_involution.whale_id.fusion.candidates import IF_KNOWN, NO_KEYPOINTS
from keras_involution.whale_id.fusion.fitting import _held_out
from keras_involution.whale_id.fusion.matcher import CALIBRATION_QUERIES
from keras_involution.whale_id.fusion.pairs import RELATIVE
from keras_involution.whale_id.fusion.scorers import default_scorers
from keras_involution.whale_id.fusion.sides import sides_of
from keras_involution.whale_id.local import Keypoints, LocalFeatures
from keras_involution.whale_id.retrieve import Ranking
from keras_involution.whale_id.tables import from_wildlife
from tests.marks import one_backend
from tests.whale_id.calibrations import calibration_by_hand
from tests.whale_id.keypoints import with_random_keypoints

pytestmark = one_backend
SIZE = 16


class StoredScorer:
    """A scorer with its own vectors in the extras, compared by cosine."""

    name = "stored"
    compared = 0

    def __call__(self, queries, database, pairs):
        one, other = queries.extras["second"], database.extras["second"]
        self.compared += len(pairs)
        return (one[pairs[:, 0]] * other[pairs[:, 1]]).sum(axis=1)


def collection(
    animals: int,
    each: int,
    noise: float = 0.4,
    seed: int = 0,
    first: int = 0,
    **columns,
) -> Embeddings:
    """Synthetic photos of two species: a direction for each animal, and noise."""
    rows, features, second = [], [], []
    random = np.random.default_rng([seed, 99])
    for animal in range(first, first + animals):
        centers = np.random.default_rng(animal).normal(size=(2, SIZE))
        for number in range(each):
            rows.append((f"{seed}_{animal}_{number}", f"animal_{animal}", "p"))
            views = centers + noise * random.normal(size=centers.shape) * 2
            views /= np.linalg.norm(views, axis=1, keepdims=True)
            features.append(views[0])
            second.append(views[1])
    frame = pd.DataFrame(rows, columns=["image_id", "identity", "path"])
    table = from_wildlife(frame.assign(**columns))
    return Embeddings(np.array(features), table, extras={"second": np.array(second)})


def top_1(candidates: Candidates, queries: Embeddings) -> float:
    truth = queries.table["identity"].to_numpy(object)
    return float((candidates.ranking.labels[:, 0] == truth).mean())


def test_two_calibrated_scorers_beat_each_alone():
    database, queries = collection(30, 4, 0.5), collection(30, 3, 0.5, seed=1)
    scores = {}
    for name, scorers in {
        "first": [FeatureScorer()],
        "both": [FeatureScorer(), StoredScorer()],
    }.items():
        matcher = Matcher(database, scorers).fit()
        candidates = matcher.rank(queries)
        assert candidates.probabilities.min() >= 0
        assert candidates.probabilities.max() <= 1
        scores[name] = top_1(candidates, queries)
    assert scores["both"] > scores["first"] + 0.1


@pytest.mark.parametrize("noise", [0.35, 0.45])
def test_probabilities_are_those_that_come_true(noise):
    """Also if most answers are wrong, as with more noise.

    The bound of the means is one and a half standard errors of the 240 and 400 queries,
    sqrt(0.25 / 240 + 0.25 / 400). The possible accuracy of "new" depends on the noise,
    so it is compared with the best threshold on these queries.
    """
    database, queries = collection(40, 4, noise), collection(80, 5, noise, seed=1)
    validation = collection(80, 3, noise, seed=2)
    candidates = Matcher(database).fit(validation).rank(queries)
    truth = queries.table["identity"].to_numpy(object)
    right = candidates.ranking.labels[:, 0] == truth
    assert candidates.probabilities[:, 0].mean() == pytest.approx(
        right.mean(), abs=0.06
    )
    new = ~queries.table["identity"].isin(database.table["identity"]).to_numpy()
    assert candidates.new_probabilities.mean() == pytest.approx(new.mean(), abs=0.06)
    scores = candidates.ranking.scores[:, 0]
    best = max(((scores < threshold) == new).mean() for threshold in scores)
    assert (candidates.is_new == new).mean() > best - 0.06
    total = candidates.probabilities.sum(axis=1) + candidates.new_probabilities
    assert total.max() <= 1 + 1e-6


def test_probabilities_come_true_where_no_animal_is_new():
    database, queries = collection(40, 4, 0.35), collection(40, 5, 0.35, seed=1)
    matcher = Matcher(database).fit(collection(40, 3, 0.35, seed=2))
    candidates = matcher.rank(queries)
    right = top_1(candidates, queries)
    assert 0.6 < right < 0.95
    first = candidates.probabilities[:, 0]
    assert first.mean() == pytest.approx(right, abs=0.06)
    truth = queries.table["identity"].to_numpy(object)
    is_right = candidates.ranking.labels[:, 0] == truth
    assert first[is_right].mean() > first[~is_right].mean() + 0.1


@pytest.mark.parametrize("count", [20, 1000])
def test_what_has_nothing_in_common_is_no_answer(count):
    """A catalog with only correct matches has no examples of failures."""
    random = np.random.default_rng(0)
    scores = random.uniform([0.6, 0], [1, 0.1], (count, 2))
    right = np.zeros(count, int)
    model = AnswerModel.fit(scores, right, right.astype(bool), "by hand")
    likely = model(np.array([[0.0, 0.0], [0.9, 0.05]]))[0]
    assert likely[0, 0] < 0.1 and likely[1, 0] > 0.95
    # If some animals are new, the query is more likely a new animal.
    model = AnswerModel.fit(scores, right, np.arange(count) < count // 4, "by hand")
    likely, new = model(np.array([[0.0, 0.0]]))
    assert new[0] > likely[0, 0]


def test_new_is_an_answer_only_where_the_validation_has_new_animals():
    database = collection(20, 3)
    closed = Matcher(database).fit(collection(20, 2, seed=1))
    candidates = closed.rank(collection(25, 1, seed=2))
    assert candidates.is_new is None and candidates.probabilities is not None
    with pytest.raises(ValueError, match=r"open validation split.*Received: protocol="):
        candidates.with_new()
    candidates = (
        Matcher(database).fit(collection(40, 2, seed=1)).rank(collection(25, 1, seed=2))
    )
    ranking, probabilities = candidates.with_new()
    assert (np.diff(probabilities, axis=1) <= 1e-9).all()
    first = ranking.labels[:, 0] == "new_individual"
    np.testing.assert_array_equal(first, candidates.is_new)
    table = candidates.table(database.table)
    assert {"probability", "candidate"} <= set(table)
    assert (table["identity"] == "new_individual").sum() == 25


def test_without_calibration_there_is_no_percentage():
    candidates = Matcher(collection(5, 2)).rank(collection(5, 1, seed=1))
    assert candidates.probabilities is None and candidates.is_new is None
    assert "probability" not in candidates.table()
    assert "ranks only" in candidates.protocol


@pytest.mark.parametrize(
    ("animals", "each"), [(1, 1), (1, 3), (30, 1), (2, 2)], ids=str
)
def test_catalogs_too_small_to_learn_from(animals, each):
    """One animal, or one photo per animal: an answer and a reason, no percentage."""
    database = collection(animals, each)
    matcher = Matcher(database, [FeatureScorer(), StoredScorer()]).fit()
    candidates = matcher.rank(collection(animals, 2, seed=1))
    assert candidates.probabilities is None
    assert "pairs of one animal" in candidates.protocol
    assert len(candidates) == 2 * animals
    assert (candidates.ranking.labels != "").all()


@pytest.mark.parametrize("animals", [20, 40], ids=["closed", "open"])
def test_a_photo_without_keypoints_has_no_probability(animals):
    database = with_random_keypoints(collection(20, 3))
    validation = with_random_keypoints(collection(animals, 2, seed=1))
    queries = with_random_keypoints(collection(4, 1, seed=2), empty=[1])
    candidates = Matcher(database).fit(validation).rank(queries)
    for probabilities in (candidates.probabilities[:, 0], candidates.new_probabilities):
        if probabilities is not None:
            assert np.isnan(probabilities).tolist() == [False, True, False, False]
    assert (candidates.new_probabilities is None) == (animals == 20)
    condition = IF_KNOWN if animals == 20 else ""
    assert candidates.notes == [condition, NO_KEYPOINTS, condition, condition]
    table = candidates.table(database.table)
    missing = table["image_id"] == queries.table["image_id"][1]
    assert missing.sum() == 10 and "" not in set(table["identity"])
    np.testing.assert_array_equal(table["probability"].isna(), missing)
    np.testing.assert_array_equal(table["note"] == NO_KEYPOINTS, missing)
    # Without other comparisons, keypoints do not matter.
    alone = Matcher(database, [FeatureScorer()]).fit(validation).rank(queries)
    assert not np.isnan(alone.probabilities).any()


def test_an_encounter_counts_the_photos_with_keypoints():
    database = with_random_keypoints(collection(20, 3))
    queries = with_random_keypoints(collection(4, 1, 0.9, seed=2), empty=[1, 2, 3])
    matcher = Matcher(database).fit(with_random_keypoints(collection(20, 2, seed=1)))
    joint = matcher.rank(queries, encounters=["a", "a", "b", "b"])
    single = matcher.rank(queries.rows([0]))
    np.testing.assert_array_equal(joint.ranking.labels[:1], single.ranking.labels)
    np.testing.assert_array_equal(joint.ranking.images[:1], single.ranking.images)
    np.testing.assert_allclose(joint.probabilities[:1], single.probabilities)
    assert joint.notes == [IF_KNOWN, NO_KEYPOINTS]


def test_nothing_is_learned_from_photos_without_keypoints():
    matcher = Matcher(with_random_keypoints(collection(20, 3)))
    photos = collection(40, 2, seed=1)
    validation = with_random_keypoints(photos, empty=range(0, 80, 4))
    fitted = matcher.fit(validation).calibration
    seen = np.arange(80) % 4 > 0
    assert fitted == matcher.fit(validation.rows(seen)).calibration
    matcher.fit(with_random_keypoints(photos, empty=range(80)))
    assert matcher.calibration is None and "keypoints" in matcher.reason


def test_the_budget_bounds_the_pairs_that_are_compared():
    database, queries = collection(30, 4), collection(30, 1, seed=1)
    for shortlist, expected in ((7, 7 * 30), (500, 120 * 30)):
        scorer = StoredScorer()
        Matcher(database, [FeatureScorer(), scorer], shortlist=shortlist).rank(queries)
        assert scorer.compared == expected


def test_the_calibration_has_a_budget_and_tells_how_far_it_is():
    database = with_random_keypoints(collection(40, 4, encounter=list(range(160))))
    scorer, done = LocalScorer(), []
    scorer.on_pairs = done.append
    matcher = Matcher(database, [FeatureScorer(), scorer], shortlist=7).fit()
    assert CALIBRATION_QUERIES == 100 < len(database)
    assert sum(done) == 7 * CALIBRATION_QUERIES and len(done) > 10
    assert "100 photos of the database" in matcher.calibration.protocol
    assert matcher.calibration.conditions == matcher.conditions


def test_the_calibration_uses_photos_that_training_held_out():
    """A network rates photos that it was trained on too high."""
    parts = ["train", "train", "val", ""] * 40
    database = collection(40, 4, encounter=list(range(160)), val_split=parts)
    matcher = Matcher(database).fit()
    assert "40 photos of the database" in matcher.calibration.protocol
    for few in (["train"] * 160, ["val", "val"] + ["train"] * 158):
        database = collection(40, 4, encounter=list(range(160)), val_split=few)
        protocol = Matcher(database).fit().calibration.protocol
        assert "100 photos of the database" in protocol


def test_scores_are_remembered_for_one_shortlist():
    class Counted:
        calls = 0

        def scores(self, query, candidates):
            self.calls += 1
            return np.full(len(candidates), len(candidates), "float32")

    database = with_random_keypoints(collection(4, 1))
    scorer = LocalScorer(Counted())
    long, short = np.array([[0, 1], [0, 2], [0, 3]]), np.array([[0, 1], [0, 3]])
    for pairs in (long, short, long, short):
        assert (scorer(database, database, pairs) == len(pairs)).all()
    assert scorer.matcher.calls == 2


def test_a_large_catalog():
    database = collection(20_000, 1, 0.05)
    queries = database.rows(range(0, 20_000, 4000))
    candidates = Matcher(database, [FeatureScorer(), StoredScorer()]).rank(queries)
    assert top_1(candidates, queries) == 1


def test_the_own_photo_and_the_own_encounter_are_left_out():
    database = collection(6, 2, encounter=list("aabbccddeeff"))
    matcher = Matcher(database)
    for leave_out, expected in (("nothing", 1.0), ("encounter", 0.0)):
        found = matcher.rank(database, top=6, leave_out=leave_out)
        assert top_1(found, database) == expected
    found = matcher.rank(database, top=6, leave_out="encounter").ranking
    assert (found.labels[:, -1] == "").all() and (found.images[:, -1] == -1).all()
    photo = matcher.rank(database, leave_out="photo").ranking
    assert (photo.images[:, 0] != np.arange(12)).all()


def test_photos_of_an_encounter_are_one_query():
    database, queries = collection(30, 3, 0.5), collection(30, 4, 0.9, seed=1)
    encounters = queries.table["identity"]
    single = Matcher(database).fit().rank(queries)
    joint = Matcher(database).fit().rank(queries, encounters=encounters)
    assert len(joint) == 30 and len(joint.queries) == 30
    assert top_1(joint, queries.rows(range(0, 120, 4))) > top_1(single, queries) + 0.1
    alone = Matcher(database).rank(queries, encounters=[None, ""] * 60)
    assert len(alone) == 120


def test_sides_are_compared_with_their_own():
    database = collection(10, 2, viewpoint=["left", "right"] * 10)
    queries = collection(10, 2, 0.1, seed=1, viewpoint=["L", None] * 10)
    found = Matcher(database).rank(queries)
    shown = database.table["viewpoint"].to_numpy()[found.ranking.images]
    assert (shown[::2] == "left").all() and (shown[1::2] == "right").any()
    both = Matcher(database, sides="any").rank(queries)
    shown = database.table["viewpoint"].to_numpy()[both.ranking.images]
    assert (shown[::2] == "right").any()
    only = database.rows(database.table["viewpoint"] == "right")
    nobody = Matcher(only).rank(queries.rows([0]))
    assert (nobody.ranking.labels == "").all()
    assert nobody.table().empty


@pytest.mark.parametrize(
    ("value", "side"),
    [("left", 1), ("Front_Left", 1), ("RIGHT", 2), ("rt", 2), ("left/right", 0)]
    + [("dorsal", 0), (None, 0), ("unknown", 0), (3, 0)],
)
def test_words_for_sides(value, side):
    assert sides_of(pd.DataFrame({"viewpoint": [value]})).tolist() == [side]


def test_curves_have_not_seen_the_animals_that_they_score():
    """The pairs of an animal do not influence its own scores."""
    random = np.random.default_rng(0)
    evidence = {"one": random.normal(size=(60, 40))}
    listed, truths = np.ones((60, 40), bool), np.repeat(np.arange(20), 3).astype(str)
    same = random.random((60, 40)) < 0.1
    before = _held_out(evidence, listed, same, truths)
    own = truths == "7"
    changed = np.where(own[:, None], ~same, same)
    after = _held_out(evidence, listed, changed, truths)
    np.testing.assert_array_equal(after[own], before[own])
    assert np.abs(after[~own] - before[~own]).max() > 1e-3


def test_the_calibration_is_saved(tmp_path):
    matcher = Matcher(collection(20, 3)).fit(collection(30, 2, seed=1))
    assert list(matcher.calibration.scorers) == ["features", f"features{RELATIVE}"]
    matcher.calibration.save(tmp_path / "c.json")
    loaded = FusionCalibration.load(tmp_path / "c.json")
    queries = collection(20, 1, seed=2)
    expected = matcher.rank(queries)
    found = Matcher(collection(20, 3), calibration=loaded).rank(queries)
    np.testing.assert_allclose(found.probabilities, expected.probabilities)
    np.testing.assert_allclose(found.new_probabilities, expected.new_probabilities)
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(ValueError, match="Received: path="):
        FusionCalibration.load(tmp_path / "c.json")
    scorers = [FeatureScorer(), StoredScorer()]
    with pytest.raises(ValueError, match=r"without these scorers.*Received: scorers="):
        Matcher(collection(20, 3), scorers, calibration=loaded).rank(queries)


def test_wrong_arguments():
    database = collection(3, 2)
    for arguments in (
        {"shortlist": 0}, {"reduce": "mean"}, {"sides": "left"}, {"scorers": []},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="Received: "):
            Matcher(database, **arguments)
    with pytest.raises(ValueError, match="Received: leave_out='me'"):
        Matcher(database).rank(database, leave_out="me")
    with pytest.raises(ValueError, match="Received: encounters=1"):
        Matcher(database).rank(database, encounters=[1])
    unknown = Embeddings(np.eye(1), database.table.iloc[:1].assign(identity="unknown"))
    with pytest.raises(ValueError, match="Received: rows=1"):
        Matcher(unknown)


def test_keypoints_are_stored_with_the_embeddings(tmp_path):
    points = np.random.default_rng(0).uniform(0, 99, (3, 20, 2)).astype("float32")
    vectors = np.random.default_rng(1).normal(size=(3, 20, 64))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    local = LocalFeatures.pack(
        [Keypoints(p, v, (99, 99)) for p, v in zip(points, vectors)]
    )
    database = with_local_features(collection(3, 1), local)
    database.save(tmp_path / "d.npz")
    loaded = Embeddings.load(tmp_path / "d.npz").rows([2, 0, 1])
    scores = LocalScorer()(loaded, database, None)
    assert scores.argmax(axis=1).tolist() == [2, 0, 1]
    found = Matcher(database).rank(loaded)
    assert top_1(found, loaded) == 1 and len(Matcher(database).scorers) == 2
    with pytest.raises(ValueError, match=r"have no keypoints.*Received: extras="):
        LocalScorer()(collection(3, 1), database, None)


def test_a_placeholder_ranking_keeps_its_shape():
    ranking = Ranking([["A", ""]], [[0.5, -np.inf]])
    probabilities = np.array([[0.4, 0.0]])
    labels = Candidates(
        ranking, pd.DataFrame({"image_id": ["1"]}), probabilities, np.array([0.2])
    ).with_new()[0]
    assert labels.labels.tolist() == [["A", "new_individual", ""]]


@pytest.mark.parametrize("pairs", ["all", "verified"])
def test_the_pairs_that_count(pairs):
    """Moved keypoints change the number of verified pairs, not of all pairs."""
    random = np.random.default_rng(0)
    vectors = np.eye(64)[:40]
    places = random.uniform(0, 99, (2, 40, 2)).astype("float32")
    moved, shuffled = places[0] * 0.5 + 9, places[1]
    found = [Keypoints(p, vectors, (99, 99)) for p in (moved, shuffled)]
    database = with_local_features(collection(2, 1), LocalFeatures.pack(found))
    asked = LocalFeatures.pack([Keypoints(places[0], vectors, (99, 99))])
    queries = with_local_features(collection(1, 1, seed=1), asked)
    local = default_scorers([database], pairs=pairs)[-1]
    same, other = local(queries, database, None)[0]
    assert (same > 3 * other) == (pairs == "verified") and same > 0
    calibration = calibration_by_hand()
    with pytest.raises(ValueError, match=f"scorers=\\['{local.name}"):
        Matcher(database, [local], calibration=calibration)
    with pytest.raises(ValueError, match="Received: pairs='none'"):
        default_scorers([database], pairs="none")
