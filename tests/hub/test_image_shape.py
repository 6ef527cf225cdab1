"""`from_preset(image_shape=)`: other sides, and other channels with adapted weights."""

from __future__ import annotations

import numpy as np
import pytest

from keras_involution import RedNetBackbone, RedNetImageClassifier
from tests.hub.networks import assert_same_weights, raw_images, tiny_classifier
from tests.marks import one_backend

pytestmark = one_backend


@pytest.fixture
def preset(tmp_path):
    model = tiny_classifier()
    model.save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


def gray(channels: int) -> np.ndarray:
    values = np.random.default_rng(0).standard_normal((2, 32, 32, 1))
    return np.repeat(values.astype("float32"), channels, axis=-1)


@pytest.mark.parametrize("channels", (1, 2, 4, 7))
def test_grey_images_give_the_same_in_any_number_of_channels(preset, channels):
    expected = tiny_classifier().predict(gray(3), verbose=0)
    shape = (None, None, channels)
    model = RedNetImageClassifier.from_preset(preset, image_shape=shape)
    assert model.backbone.image_shape == shape
    outputs = model.predict(gray(channels), verbose=0)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    backbone = RedNetBackbone.from_preset(preset, image_shape=shape)
    assert_same_weights(backbone, model.backbone)
    assert model.class_names == tiny_classifier().class_names


def test_other_sides_are_prepared_for(preset):
    model = RedNetImageClassifier.from_preset(preset, image_shape=(48, 64, 3))
    assert model.preprocessor.image_size == (48, 64)
    assert_same_weights(model, tiny_classifier())
    assert len(model.classify(raw_images())) == 2


def test_a_new_head_and_a_preprocessor_of_ones_own(preset):
    mine = tiny_classifier().preprocessor
    model = RedNetImageClassifier.from_preset(
        preset, num_classes=5, image_shape=(None, None, 1), preprocessor=mine
    )
    assert model.output_shape == (None, 5) and model.preprocessor is mine


def test_a_preset_of_other_channels_comes_back(preset, tmp_path):
    shape = (None, None, 4)
    model = RedNetImageClassifier.from_preset(preset, image_shape=shape)
    model.save_to_preset(tmp_path / "four")
    again = RedNetImageClassifier.from_preset(tmp_path / "four")
    assert_same_weights(again, model)


@pytest.mark.parametrize("shape", ((32, 32), (32, 32, None), (32, 32, 0)))
def test_shapes_that_are_none(preset, shape):
    with pytest.raises(
        ValueError, match=r"known number of channels\. Received: image_shape="
    ):
        RedNetBackbone.from_preset(preset, image_shape=shape)
