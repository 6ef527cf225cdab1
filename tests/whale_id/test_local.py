"""Local matching: the network, keypoints, pairs and geometry."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image, ImageFilter

from keras_involution.whale_id.local import (
    DistinctMatcher,
    Keypoints,
    LocalFeatures,
    LocalMatcher,
    MutualNearest,
    XFeat,
    XFeatExtractor,
    build_extractor,
    pretrained_xfeat,
)
from tests.marks import one_backend

GOLDEN = Path(__file__).parents[1] / "golden" / "xfeat_fin.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return {name: file[name] for name in file.files}


def textured(seed: int = 0, side: int = 320) -> np.ndarray:
    """Blobs of several sizes that every detector finds, (side, side, 3) bytes."""
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side, 3))
    for cells in (8, 20, 50):
        noise = rng.integers(0, 256, (cells, cells, 3), "uint8")
        image += np.asarray(Image.fromarray(noise).resize((side, side)), "float64") / 3
    return image.astype("uint8")


@pytest.mark.parametrize("name", ["features", "keypoints", "reliability"])
def test_outputs_of_the_published_network(golden, name):
    """Compares every fourth position of the original network's outputs for a fin."""
    outputs = pretrained_xfeat().predict_on_batch(golden["image"].astype("float32"))
    found = keras.ops.convert_to_numpy(outputs[name])[:, ::4, ::4]
    np.testing.assert_allclose(found, golden[name], rtol=1e-4, atol=1e-4)


def test_the_network_is_saved_and_loaded(tmp_path, golden):
    network = pretrained_xfeat()
    network.save(tmp_path / "xfeat.keras")
    loaded = keras.saving.load_model(tmp_path / "xfeat.keras")
    image = golden["image"][:, :64, :64].astype("float32")
    expected = network.predict_on_batch(image)["features"]
    found = loaded.predict_on_batch(image)["features"]
    # The order of sums in TensorFlow depends on its threads.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@one_backend
def test_weights_of_another_network_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", **{"block1.0.layer.0.weight": np.ones(3)})
    with pytest.raises(ValueError, match=r"must have shapes .* Received: name="):
        XFeat().load_published_weights(tmp_path / "other.npz")


@one_backend
@pytest.mark.parametrize("name", ["xfeat", "sift"])
def test_a_turned_photo_matches_itself_and_no_other(name):
    image = textured()
    turned = np.asarray(Image.fromarray(image).rotate(10, Image.Resampling.BICUBIC))
    other = textured(seed=1)
    extract = build_extractor(name, side=320, keypoints=300)
    one, same, another = (extract(i) for i in (image, turned, other))
    for unverified, lead in ((0, 5), (0.5, 3), (1, 2)):
        matcher = LocalMatcher(unverified=unverified)
        match = matcher.match(one, same)
        scores = matcher.scores(one, [same, another])
        assert scores[0] == pytest.approx(match.score, rel=1e-6)
        assert scores[0] > lead * scores[1]
    angle = np.deg2rad(10)
    rotation = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    center = (np.array(image.shape[:2]) - 1) / 2
    expected = (match.query_points - center) @ np.transpose(rotation) + center
    errors = np.linalg.norm(expected - match.candidate_points, axis=1)
    assert len(match) > 20 and np.median(errors) < 3


@one_backend
@pytest.mark.parametrize("name", ["xfeat", "sift"])
@pytest.mark.parametrize(
    "image",
    [
        np.full((200, 300, 3), 127, "uint8"),
        np.random.default_rng(0).integers(0, 256, (10, 10, 3), "uint8"),
        np.random.default_rng(0).integers(0, 256, (1, 1, 3), "uint8"),
        np.zeros((3, 4000, 3), "uint8"),
    ],
    ids=["one color", "10x10", "one pixel", "a strip"],
)
def test_photos_with_few_or_no_keypoints(name, image):
    extract = build_extractor(name)
    found, rich = extract(image), build_extractor(name, side=320)(textured())
    assert np.isfinite(found.points).all() and np.isfinite(found.descriptors).all()
    for pair in ((found, rich), (rich, found), (found, found)):
        assert np.isfinite(LocalMatcher().match(*pair).score)
    width = found.descriptors.shape[1]
    nothing = Keypoints(np.zeros((0, 2)), np.zeros((0, width)), (10, 10))
    packed = LocalFeatures.pack([found, nothing])
    assert [len(k) for k in packed] == [len(found), 0]
    assert LocalMatcher().match(packed[1], packed[1]).score == 0


@one_backend
def test_keypoints_stay_on_the_animal():
    image = textured()
    extract = XFeatExtractor(side=320)
    middle = extract(image).points
    assert middle.min() >= 47 and middle.max() <= 272
    box = extract(image, bbox=[20, 40, 100, 200]).points
    assert (box >= [19, 39]).all() and (box <= [121, 241]).all()
    assert box[:, 1].max() > 225
    mask = np.zeros(image.shape[:2], bool)
    mask[:100, 200:] = True
    masked = extract(image, foreground=mask).points
    assert len(masked) and (masked[:, 0] > 198).all() and (masked[:, 1] < 101).all()
    with pytest.raises(ValueError, match=r"no pixel .* Received: bbox="):
        extract(image, bbox=[400, 0, 10, 10])


@one_backend
def test_stored_descriptors_rank_like_the_original():
    image = Image.fromarray(textured())
    extract = XFeatExtractor(side=320, keypoints=200)
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(1)))
    found = [extract(np.asarray(image)), extract(blurred)]
    stored = LocalFeatures.pack(found)
    assert stored.descriptors.values.dtype == np.int8
    np.testing.assert_allclose(stored[0].descriptors, found[0].descriptors, atol=0.004)
    fresh, packed = (LocalMatcher().match(a, b).score for a, b in (found, stored))
    assert packed == pytest.approx(fresh, rel=0.1)
    assert stored[1].size == (320, 320)
    with pytest.raises(ValueError, match="Received: points="):
        LocalFeatures(**stored.arrays() | {"sizes": np.zeros((5, 2))})
    with pytest.raises(ValueError, match=r"Received: photos=2, widths=\[2, 64\]"):
        LocalFeatures.pack([found[0], Keypoints(np.ones((1, 2)), np.eye(1, 2), (9, 9))])


@one_backend
def test_pairs_are_mutual_and_similar_enough():
    ask = np.array([[0.9, 0.436], [0.6, 0.8], [1, 0]])
    one, other = (Keypoints(np.zeros((len(d), 2)), d, (9, 9)) for d in (ask, np.eye(2)))
    pairs, values = MutualNearest(0.75)(one, other)
    assert pairs.tolist() == [[1, 1], [2, 0]]
    # From the minimum similarity, 0, to equal descriptors, 1.
    np.testing.assert_allclose(values, [0.2, 1], rtol=1e-6)
    assert MutualNearest(0.85)(one, other)[0].tolist() == [[2, 0]]


def keypoints_of(*descriptors) -> Keypoints:
    vectors = np.array(descriptors, "float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Keypoints(np.zeros((len(vectors), 2), "float32"), vectors, (9, 9))


@one_backend
def test_what_many_photos_share_counts_little():
    """Two pairs of a feature that all photos share count less than two rare ones."""
    common, spot, mark = np.eye(3, 4)
    query = keypoints_of(common, spot)
    alike = [keypoints_of(common + 0.01 * n * mark, mark) for n in range(60)]
    same = keypoints_of(common + 0.6 * mark, spot + 0.1 * mark)
    scores = DistinctMatcher().scores(query, [*alike, same])
    assert scores.argmax() == 60 and scores[-1] > 4 * scores[:-1].max()
    plain = LocalMatcher().scores(query, [*alike, same])
    assert plain[-1] < 2 * plain[:-1].max()
    # Two candidates do not show which features are common: 0.75 is the similarity used.
    few = DistinctMatcher().scores(query, [alike[0], same])
    assert 0.5 < few[0] < 0.625 and few[1] > 0.5
    nothing = Keypoints(np.zeros((0, 2)), np.zeros((0, 4), "float32"), (9, 9))
    assert DistinctMatcher().scores(query, [nothing, nothing]).tolist() == [0, 0]
    assert DistinctMatcher().scores(nothing, [query]).tolist() == [0]
    assert DistinctMatcher().scores(query, []).tolist() == []
    with pytest.raises(ValueError, match="Received: least=2"):
        DistinctMatcher(least=2)


@one_backend
def test_of_equal_keypoints_one_is_paired():
    twice = keypoints_of([1, 0], [1, 0], [0, 1])
    for pair in ((twice, twice), (twice, keypoints_of([1, 0], [0, 1]))):
        pairs = MutualNearest()(*pair)[0]
        assert pairs.tolist() == [[0, 0], [2, pairs[-1, 1]]]


@one_backend
def test_geometry_drops_what_no_transform_explains():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (40, 2)).astype("float32")
    moved = points * 0.8 + 7
    moved[30:] = rng.uniform(0, 100, (10, 2))
    one, other = (Keypoints(p, np.eye(40), (100, 100)) for p in (points, moved))
    scores = []
    for transform, most in (("similarity", 33), ("homography", 33), ("none", 40)):
        matcher = LocalMatcher(transform=transform, tolerance=0.01, unverified=0)
        match = matcher.match(one, other)
        assert 30 <= len(match) <= most
        scores.append(match.score)
    assert 29 < scores[0] < scores[2] == pytest.approx(40, rel=0.01)
    every = LocalMatcher(tolerance=0.01).match(one, other)
    assert every.score == pytest.approx(40, rel=0.01) and len(every) <= 33
    collapsed = Keypoints(points * 0.01, np.eye(40), (100, 100))
    assert len(LocalMatcher(tolerance=1).match(one, collapsed)) == 0
    strict = LocalMatcher(tolerance=1, unverified=0)
    assert strict.match(one, collapsed).score == 0


@one_backend
@pytest.mark.parametrize("transform, least", [("similarity", 2), ("homography", 4)])
def test_as_many_pairs_as_fix_a_transform_verify_nothing(transform, least):
    points = np.array([[0, 0], [90, 5], [80, 70], [10, 95], [40, 30]], "float32")
    for count, expected in ((least, 0), (least + 1, least + 1)):
        some = Keypoints(points[:count], np.eye(5)[:count], (100, 100))
        match = LocalMatcher(transform=transform, unverified=0).match(some, some)
        assert len(match) == expected and (match.score > 0) == bool(expected)


@one_backend
def test_the_spread_of_the_inliers_counts():
    """The same number of inliers in one corner is weaker evidence."""
    grid = np.stack(np.meshgrid(range(10), range(10)), -1).reshape(-1, 2) * 10.0
    corner = (grid < 50).all(axis=1)
    everywhere = np.arange(100) % 4 == 0
    assert corner.sum() == everywhere.sum() == 25
    scores = []
    for chosen in (corner, everywhere):
        descriptors = np.eye(200)[:100].copy()
        descriptors[~chosen] = np.eye(200)[100:][~chosen]
        one = Keypoints(grid, np.eye(200)[:100], (100, 100))
        other = Keypoints(grid, descriptors, (100, 100))
        scores.append(LocalMatcher(unverified=0).match(one, other).score)
    assert scores[1] > 1.2 * scores[0] > 0


@one_backend
def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"Received: name='surf'"):
        build_extractor("surf")
    with pytest.raises(ValueError, match=r"Received: transform='affine'"):
        LocalMatcher(transform="affine")
