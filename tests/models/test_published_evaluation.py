"""The published evaluation: shorter side to 256, bilinear, the central 224 x 224."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from keras_involution import RedNetImageClassifier, RedNetImageConverter
from keras_involution.hub import _format

cv2 = pytest.importorskip("cv2", reason="OpenCV is in the extra whale-id")
SIZES = [(300, 400), (256, 256), (97, 450), (1000, 777), (64, 64), (3, 500)]


def opencv(image: np.ndarray) -> np.ndarray:
    """The protocol as implemented by PaddleClas and mmclassification."""
    height, width = image.shape[:2]
    scale = 256 / min(height, width)
    size = round(width * scale), round(height * scale)
    resized = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    top, left = (resized.shape[0] - 224) // 2, (resized.shape[1] - 224) // 2
    return resized[top : top + 224, left : left + 224]


def converter(data_format="channels_last", **arguments) -> RedNetImageConverter:
    arguments = {"crop_fraction": 0.875, "scale": 1.0, "offset": 0.0, **arguments}
    return RedNetImageConverter((224, 224), data_format=data_format, **arguments)


def photo(size) -> np.ndarray:
    """An image with edges and gradients besides noise."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = 127 + 80 * np.sin(rows / 7) + 40 * np.cos(columns / 3)
    noise = np.random.default_rng(0).integers(-8, 8, (*size, 3))
    return np.clip(waves[..., None] + noise, 0, 255).astype("uint8")


@pytest.mark.parametrize("size", SIZES)
def test_within_one_gray_level_of_opencv(size):
    image = photo(size)
    expected = opencv(image).astype("float64")
    last = keras.ops.convert_to_numpy(converter()(image))
    first = converter("channels_first")(np.moveaxis(image, -1, 0))
    np.testing.assert_array_equal(
        np.moveaxis(keras.ops.convert_to_numpy(first), 0, -1), last
    )
    difference = np.abs(last - expected)
    assert difference.mean() < 0.5 and difference.max() <= 2


def test_lists_batches_and_floats():
    image = photo((80, 60))
    alone = keras.ops.convert_to_numpy(converter()(image))
    batch = converter()(np.stack([image, image]))
    mixed = converter()([image, photo((70, 90))])
    for result in (batch, mixed):
        result = keras.ops.convert_to_numpy(result)
        assert result.shape == (2, 224, 224, 3)
        np.testing.assert_array_equal(result[0], alone)
    floats = keras.ops.convert_to_numpy(converter()(image.astype("float32")))
    assert np.abs(floats - alone).max() <= 0.5 + 1e-4


def test_in_a_data_pipeline():
    """Floating-point images, so that no rounding hides or causes a difference."""
    data = pytest.importorskip("tensorflow", reason="tf.data").data
    image = photo((80, 60)).astype("float32")
    images = data.Dataset.from_generator(
        lambda: iter([image]), output_types="float32", output_shapes=(None, None, 3)
    )
    [result] = images.map(converter()).as_numpy_iterator()
    expected = keras.ops.convert_to_numpy(converter()(image))
    np.testing.assert_allclose(result, expected, atol=5e-3)


@pytest.mark.parametrize(
    "arguments",
    [
        {"crop_fraction": 0.0},
        {"crop_fraction": 1.5},
        {"antialias": True},
        {"interpolation": "bicubic"},
        {"crop_to_aspect_ratio": False},
    ],
)
def test_what_the_protocol_does_not_have(arguments):
    with pytest.raises(ValueError, match=r"crop_fraction.*Received: crop_fraction="):
        converter(**arguments)


def test_a_preset_keeps_it(tmp_path):
    """Also in the files from which keras-hub builds its preprocessor."""
    model = RedNetImageClassifier.from_preset(
        "rednet_26_imagenet", load_weights=False, num_classes=2
    )
    assert model.preprocessor.crop_fraction == 0.875
    written = json.loads(json.dumps(_format.preprocessor_json(model.preprocessor)))
    again = _format.converter_from_json(written, "channels_last")
    assert again.get_config() == {
        **model.preprocessor.get_config(),
        "name": again.name,
    }
    plain = _format.converter_json(model.preprocessor)
    assert plain["class_name"] == "ImageConverter"
    assert "crop_fraction" not in plain["config"]
