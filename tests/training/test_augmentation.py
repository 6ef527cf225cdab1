"""The augmentation: reproducible, with the right strength, within range."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from keras_involution.training import AUGMENTATIONS, Augmentation, RandomApply
from keras_involution.training import image_changes as changes
from keras_involution.training.classifier.settings import AUGMENTATION_NAMES
from keras_involution.training.views import RandomView
from keras_involution.whale_id import config
from tests.marks import one_backend

pytestmark = one_backend


def gradient_image(side: int = 16, seed: int = 0) -> np.ndarray:
    shape = (side, side, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, "uint8")


def test_the_names_of_the_options_are_those_of_the_augmentations():
    assert tuple(AUGMENTATIONS) == AUGMENTATION_NAMES == config.AUGMENTATION_NAMES


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_view_is_decided_by_its_generator(name):
    image = gradient_image(40)
    one, two, *others = (
        AUGMENTATIONS[name].image(image, np.random.default_rng(seed), (16, 16))
        for seed in (1, 1, *range(2, 9))
    )
    np.testing.assert_array_equal(one, two)
    assert one.shape == (16, 16, 3) and one.dtype == "uint8"
    assert all(np.array_equal(one, other) for other in others) == (name == "none")
    same = Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR)
    if name == "none":
        np.testing.assert_array_equal(one, np.asarray(same))


def test_a_view_that_only_flips_flips_half_of_the_time():
    image = gradient_image()
    view = RandomView()
    views = [view(image, np.random.default_rng(seed)) for seed in range(200)]
    mirrored = [np.array_equal(one, image[:, ::-1]) for one in views]
    same = [np.array_equal(one, image) for one in views]
    assert all(m != s for m, s in zip(mirrored, same)) and 80 < sum(mirrored) < 120


def test_a_crop_is_a_box_of_the_image():
    """Crops a quarter of a linear ramp, whose values give position and size."""
    slope = np.broadcast_to(4 * np.arange(64)[:, None, None], (64, 64, 3)).astype(
        "uint8"
    )
    view = RandomView(flip=False, area=(0.25, 0.25))
    starts = set()
    for seed in range(20):
        found = view(slope, np.random.default_rng(seed), (16, 16))[:, 8, 0].astype(int)
        np.testing.assert_allclose(np.diff(found), 8, atol=1)
        assert found[0] >= 2 and found[-1] <= 254
        starts.add(found[0])
    assert len(starts) > 10 and min(starts) < 30 and max(starts) > 100


def test_a_rotation_turns_about_the_center():
    image = np.zeros((17, 17, 3), "uint8")
    image[8, 8] = 255
    view = RandomView(flip=False, rotation=90, rate=1.0)
    seen = [view(image, np.random.default_rng(seed)) for seed in range(20)]
    assert all(one[8, 8].min() > 250 and one.sum() < 4 * image.sum() for one in seen)


def test_each_image_has_its_own_probability():
    black = RandomApply(lambda x, random: 0 * x, 0.3)
    random, ones = np.random.default_rng(1), np.ones((2, 2, 3), "float32")
    changed = np.mean([black(ones, random).max() == 0 for _ in range(400)])
    assert 0.22 < changed < 0.38
    with pytest.raises(ValueError, match=r"Received: rate=2"):
        RandomApply(changes.to_gray, 2)


def test_shuffled_cells_are_the_same_cells():
    x = gradient_image().astype("float32")
    y = changes.RandomGridShuffle(2)(x, np.random.default_rng(2))
    cells = [
        {part.tobytes() for rows in np.split(a, 2) for part in np.split(rows, 2, 1)}
        for a in (x, y)
    ]
    assert cells[0] == cells[1] and not np.array_equal(x, y)
    with pytest.raises(ValueError, match="Received: cells=3, height=16, width=16"):
        changes.RandomGridShuffle(3)(x, np.random.default_rng(1))


def test_changes_do_what_their_names_say():
    x, random = gradient_image(32).astype("float32"), np.random.default_rng(2)
    gray = changes.to_gray(x, random)
    assert (gray == gray[..., :1]).all()
    np.testing.assert_allclose(gray[0, 0, 0], x[0, 0] @ changes.GRAY, rtol=1e-5)
    flat = np.full_like(x, 60)
    brighter = changes.RandomLight(brightness=0.2)(flat, random)
    assert 48 <= brighter.min() == brighter.max() <= 72
    erased = changes.RandomErasing(0.25)(x, random) != x
    assert 0 < erased.any(-1).mean() <= 0.25
    assert changes.RandomBlur(1.5)(x, random).std() < x.std() - 10
    noise = changes.RandomNoise(7.0)(flat, random) - flat
    assert 0 < noise.std() < 8
    levels = np.unique(changes.RandomPosterization(1)(x, np.random.default_rng(0)))
    assert len(levels) <= 128
    dark = np.full_like(x, 10)
    np.testing.assert_array_equal(changes.add_snow(dark, random), 25)
    rain = changes.add_rain(flat, random)
    assert np.isclose(np.unique(rain), [48, 0.4 * 48 + 120], atol=0.1).all()


@pytest.mark.parametrize(
    ("arguments", "received"),
    (
        ({"area": (0.0, 1.0)}, r"Received: area=\(0\.0, 1\.0\)"),
        ({"ratio": 0.5}, "Received: ratio=0.5"),
        ({"rotation": -1}, "Received: rotation=-1"),
        ({"rate": 2}, "Received: rate=2"),
    ),
)
def test_views_out_of_range_are_refused(arguments, received):
    with pytest.raises(ValueError, match=received):
        RandomView(**arguments)


def test_an_augmentation_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"Received: mix_up=-1"):
        Augmentation(mix_up=-1)
