"""keras-hub reads our preset folders, and we read those it writes."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution import (
    RedNetBackbone,
    RedNetImageClassifier,
    RedNetImageConverter,
)
from tests.hub.networks import (
    assert_same_weights,
    outputs,
    raw_images,
    tiny_classifier,
)

keras_hub = pytest.importorskip("keras_hub", reason="keras-hub is an extra")
# keras-hub compiles every task, and Keras says that no optimizer came with the weights.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Skipping variable loading for optimizer"
)


def prepared(task) -> np.ndarray:
    return np.asarray(task.preprocessor.image_converter(raw_images().astype("float32")))


@pytest.fixture(scope="module")
def task(saved):
    return keras_hub.models.ImageClassifier.from_preset(str(saved))


def test_keras_hub_reads_our_folder(task, classifier):
    assert_same_weights(task, classifier)
    ours = np.asarray(classifier.preprocessor(raw_images().astype("float32")))
    np.testing.assert_array_equal(prepared(task), ours)
    assert type(task.backbone) is RedNetBackbone
    theirs = keras.Model.predict(task, ours, verbose=0)
    np.testing.assert_array_equal(theirs, classifier.predict(ours, verbose=0))


def test_we_read_what_keras_hub_saves(task, classifier, tmp_path):
    task.save_to_preset(str(tmp_path / "p"))
    model = RedNetImageClassifier.from_preset(tmp_path / "p")
    assert_same_weights(model, classifier)
    assert model.preprocessor.get_config() | {"name": ""} == (
        classifier.preprocessor.get_config() | {"name": ""}
    )
    np.testing.assert_array_equal(outputs(model), outputs(classifier))


def test_keras_hub_saves_over_an_older_preset_and_in_shards(task, classifier, tmp_path):
    for size in (10, 100_000 / 2**30):
        task.save_to_preset(str(tmp_path / "p"), max_shard_size=size)
        again = keras_hub.models.ImageClassifier.from_preset(str(tmp_path / "p"))
        assert_same_weights(again, classifier)
        model = RedNetImageClassifier.from_preset(tmp_path / "p")
        assert_same_weights(model, classifier)
    assert not (tmp_path / "p" / "model.weights.h5").exists()


def test_keras_hub_reads_our_shards(classifier, tmp_path):
    classifier.save_to_preset(tmp_path / "p", max_shard_size=100_000 / 2**30)
    task = keras_hub.models.ImageClassifier.from_preset(str(tmp_path / "p"))
    assert_same_weights(task, classifier)


def test_a_new_head_with_keras_hub(saved, classifier):
    task = keras_hub.models.ImageClassifier.from_preset(str(saved), num_classes=5)
    assert task.output_shape == (None, 5)
    assert_same_weights(task.backbone, classifier.backbone)


def test_keras_hub_prepares_images_by_the_published_protocol(tmp_path):
    """The converter of keras-hub has no crop fraction, so our class is stored."""
    converter = RedNetImageConverter(
        (28, 28), crop_fraction=0.875, data_format="channels_last"
    )
    model = tiny_classifier(preprocessor=converter)
    model.save_to_preset(tmp_path / "p")
    task = keras_hub.models.ImageClassifier.from_preset(str(tmp_path / "p"))
    theirs = task.preprocessor.image_converter
    assert type(theirs) is RedNetImageConverter
    assert theirs.get_config() == converter.get_config()
    whole = RedNetImageConverter((28, 28), data_format="channels_last")
    images = raw_images().astype("float32")
    assert np.abs(prepared(task) - np.asarray(whole(images))).max() > 0.1
    np.testing.assert_array_equal(prepared(task), np.asarray(converter(images)))
    task.save_to_preset(str(tmp_path / "q"))
    again = RedNetImageClassifier.from_preset(tmp_path / "q")
    assert again.preprocessor.crop_fraction == 0.875
    np.testing.assert_array_equal(outputs(again), outputs(model))
