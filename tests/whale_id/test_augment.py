"""Augmentation: nothing at inference, everything seeded, in the right measure."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution.whale_id.augment import RECIPES, Augmentation, Sometimes
from keras_involution.whale_id.random_affine import RandomAffine
from keras_involution.whale_id.random_changes import RandomGridShuffle
from keras_involution.whale_id.views import VIEWS, random_view


def images(number: int = 4, side: int = 16) -> np.ndarray:
    shape = (number, side, side, 3)
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def changed(layer, x) -> np.ndarray:
    return keras.ops.convert_to_numpy(layer(x, training=True))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_only_changes_what_is_trained_on(recipe):
    layer, x = Augmentation(recipe, seed=1), images()
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x)), x)
    y = changed(layer, x)
    assert y.shape == x.shape and y.min() >= 0 and y.max() <= 255
    assert (recipe == "none") == np.array_equal(x, y)
    again = Augmentation.from_config(layer.get_config())
    np.testing.assert_allclose(changed(again, x), y, atol=1e-3)


def test_a_recipe_is_part_of_a_compiled_step():
    inputs = keras.Input((16, 16, 3))
    x = Augmentation("happywhale", seed=1)(inputs)
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    losses = [model.train_on_batch(images(), np.zeros((4, 3))) for _ in range(3)]
    assert len(set(map(float, losses))) == 3


def test_each_image_has_its_own_chance():
    class Black(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.zeros_like(inputs)

    x = images(400, 2)
    share = (
        changed(Sometimes(Black(), 0.3, seed=1), x).max(axis=(1, 2, 3)) == 0
    ).mean()
    assert 0.22 < share < 0.38


def test_an_affine_map_without_any_room_is_none():
    settings = {"rotation": 0, "translation": 0, "shear": 0, "crop_area": (1, 1)}
    layer = RandomAffine(**settings, crop_ratio=(1, 1), rate=1.0, seed=1)
    np.testing.assert_allclose(changed(layer, images()), images(), atol=1e-2)


def test_an_affine_map_turns_about_the_middle():
    x = np.zeros((64, 17, 17, 1), "float32")
    x[:, 8, 8] = 1
    layer = RandomAffine(
        rotation=90, translation=0, shear=0, rate=1.0,
        crop_area=(1, 1), crop_ratio=(1, 1), seed=1,
    )  # fmt: skip
    np.testing.assert_allclose(changed(layer, x)[:, 8, 8], 1, atol=1e-3)


def test_shuffled_cells_are_the_same_cells():
    x = images(8)
    y = changed(RandomGridShuffle(2, rate=1.0, seed=1), x)
    cells = [
        {part.tobytes() for rows in np.split(a, 2) for part in np.split(rows, 2, 1)}
        for a in (x[0], y[0])
    ]
    assert cells[0] == cells[1]
    assert not np.array_equal(x, y)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_decided_by_its_generator(name):
    picture = images(1, 40)[0].astype("uint8")
    one, two, other = (
        random_view(picture, name, np.random.default_rng(seed), (16, 16))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert one.shape == (16, 16, 3) and one.dtype == "uint8"
    assert np.array_equal(one, other) == (name == "none")


def test_a_view_that_only_flips_flips():
    picture = images(1)[0].astype("uint8")
    views = [
        random_view(picture, "flip", np.random.default_rng(seed)) for seed in range(20)
    ]
    mirrored = [np.array_equal(view, picture[:, ::-1]) for view in views]
    same = [np.array_equal(view, picture) for view in views]
    assert all(m != s for m, s in zip(mirrored, same)) and 3 < sum(mirrored) < 17


def test_unknown_recipes_are_refused():
    with pytest.raises(ValueError, match="Received: recipe='wild'"):
        Augmentation("wild")
    with pytest.raises(ValueError, match="Received: settings='wild'"):
        random_view(images(1)[0].astype("uint8"), "wild", np.random.default_rng(0))
