"""The converter: values, crops, lists, pipelines, configuration."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_involution import RedNetImageConverter

MEAN = np.array([123.675, 116.28, 103.53])
STD = np.array([58.395, 57.12, 57.375])


def smooth_image(height: int, width: int) -> np.ndarray:
    """A smooth image, for which resizing methods agree."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    bands = np.stack([x, y, (x + y) / 2], axis=-1)
    return np.round(255 * bands).astype("uint8")


def prepare(converter, images) -> np.ndarray:
    return keras.ops.convert_to_numpy(converter(images))


def test_values_are_normalised_per_channel():
    x = smooth_image(5, 7)[None]
    result = prepare(RedNetImageConverter(data_format="channels_last"), x)
    assert result.dtype == np.float32
    assert np.abs(result - (x - MEAN) / STD).max() < 1e-5


def test_the_middle_is_cut_out_and_resized():
    x = smooth_image(60, 100)
    converter = RedNetImageConverter((32, 32), 1.0, 0.0, data_format="channels_last")
    middle = Image.fromarray(x[:, 20:80]).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(prepare(converter, x[None])[0] - np.asarray(middle)).max() <= 2


def test_the_whole_image_is_stretched_on_demand():
    x = smooth_image(60, 100)
    converter = RedNetImageConverter(
        (32, 32), 1.0, 0.0, crop_to_aspect_ratio=False, data_format="channels_last"
    )
    whole = Image.fromarray(x).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(prepare(converter, x[None])[0] - np.asarray(whole)).max() <= 2


def test_a_list_of_sizes_becomes_one_batch():
    converter = RedNetImageConverter((16, 24), data_format="channels_last")
    images = [smooth_image(30, 40), smooth_image(50, 20)]
    batch = prepare(converter, images)
    assert batch.shape == (2, 16, 24, 3)
    for image, row in zip(images, batch):
        assert np.array_equal(prepare(converter, image), row)


def test_channels_first():
    x = smooth_image(30, 40)[None]
    last = RedNetImageConverter((16, 16), data_format="channels_last")
    first = RedNetImageConverter((16, 16), data_format="channels_first")
    result = prepare(first, np.moveaxis(x, -1, 1))
    assert np.abs(np.moveaxis(result, 1, -1) - prepare(last, x)).max() < 1e-5


def test_in_a_tensorflow_pipeline_on_every_backend():
    import tensorflow as tf

    x = np.stack([smooth_image(30, 40), smooth_image(30, 40)[::-1]])
    converter = RedNetImageConverter((16, 16), data_format="channels_last")
    [batch] = list(tf.data.Dataset.from_tensors(x).map(converter))
    assert isinstance(batch, tf.Tensor)
    # Eagerly, integers are rounded after resizing; in the pipeline they are floats.
    assert np.abs(batch.numpy() - prepare(converter, x)).max() < 0.51 / STD.min()


def test_in_front_of_a_model():
    inputs = keras.Input((None, None, 3))
    converter = RedNetImageConverter((16, 16), data_format="channels_last")
    model = keras.Model(inputs, converter(inputs))
    x = smooth_image(30, 40)[None].astype("float32")
    assert np.abs(model.predict(x, verbose=0) - prepare(converter, x)).max() < 1e-5


def test_configuration_round_trip():
    converter = RedNetImageConverter(
        (20, 30), [1.0, 2.0, 3.0], 0.5, False, True, "nearest", True, "channels_first"
    )
    config = json.loads(json.dumps(converter.get_config()))
    again = RedNetImageConverter.from_config(config)
    assert json.dumps(again.get_config()) == json.dumps(converter.get_config())


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"image_size": (0, 5)}, r"positive.*Received: image_size=\(0, 5\)"),
        ({"image_size": (5,)}, r"tuple of 2.*Received: image_size=\(5,\)"),
        ({"pad_to_aspect_ratio": True}, r"Only one of.*Received: crop_to_aspect"),
        ({"data_format": "x"}, r"one of.*Received: data_format='x'"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        RedNetImageConverter(**arguments)


def test_a_list_of_sizes_needs_a_size():
    with pytest.raises(ValueError, match=r"can only be stacked.*Received: shapes="):
        RedNetImageConverter()([smooth_image(3, 4), smooth_image(4, 3)])
