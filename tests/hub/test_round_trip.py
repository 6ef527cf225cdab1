"""Models to preset folders and back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from keras_involution import (
    RedNet26,
    RedNet50,
    RedNetBackbone,
    RedNetImageClassifier,
    RedNetImageConverter,
)
from keras_involution._builtin import PRESETS
from tests.hub.networks import (
    CLASS_NAMES,
    assert_same_weights,
    outputs,
    tiny_backbone,
    tiny_classifier,
)

FILES = {
    "config.json",
    "image_converter.json",
    "metadata.json",
    "model.weights.h5",
    "preprocessor.json",
    "task.json",
    "task.weights.h5",
}


def test_the_folder_holds_the_files_of_the_format(saved):
    assert {path.name for path in saved.iterdir()} == FILES
    task = json.loads((saved / "task.json").read_text())
    assert task["registered_name"] == "keras_hub>ImageClassifier"
    backbone = task["config"]["backbone"]
    assert backbone["registered_name"] == "keras_involution>RedNetBackbone"
    assert backbone == json.loads((saved / "config.json").read_text())


def test_classifier_comes_back_the_same(saved, classifier):
    model = RedNetImageClassifier.from_preset(saved)
    assert_same_weights(model, classifier)
    assert model.class_names == CLASS_NAMES
    assert model.backbone.get_config() == classifier.backbone.get_config()
    np.testing.assert_array_equal(outputs(model), outputs(classifier))


def test_settings_of_the_head_come_back(tmp_path):
    model = tiny_classifier(pooling="max", activation="softmax", dropout=0.25)
    model.save_to_preset(tmp_path / "p")
    loaded = RedNetImageClassifier.from_preset(tmp_path / "p")
    for key in ("pooling", "activation", "dropout", "num_classes", "name"):
        assert loaded.get_config()[key] == model.get_config()[key], key


@pytest.mark.parametrize(
    "settings",
    [
        {"image_size": (20, 28), "scale": [1.0, 2.0, 3.0], "offset": 0.5},
        {"image_size": None, "scale": 0.25, "offset": [0.0, -1.0, 1.0]},
        {"image_size": (16, 16), "crop_to_aspect_ratio": False, "antialias": True},
        {
            "image_size": (16, 24),
            "crop_to_aspect_ratio": False,
            "pad_to_aspect_ratio": True,
            "interpolation": "nearest",
        },
    ],
)
def test_converter_comes_back(classifier, tmp_path, settings):
    converter = RedNetImageConverter(data_format="channels_last", **settings)
    model = tiny_classifier(classifier.backbone, preprocessor=converter)
    model.save_to_preset(tmp_path / "p")
    loaded = RedNetImageClassifier.from_preset(tmp_path / "p").preprocessor
    expected, config = converter.get_config(), loaded.get_config()
    assert expected.keys() == config.keys()
    assert {k: config[k] for k in settings} == {k: expected[k] for k in settings}


def test_a_converter_of_keras_hub_without_scale_leaves_the_values(preset):
    task = json.loads((preset / "task.json").read_text())
    config = task["config"]["preprocessor"]["config"]["image_converter"]["config"]
    config.update(scale=None, offset=None)
    (preset / "task.json").write_text(json.dumps(task))
    found = RedNetImageClassifier.from_preset(preset).preprocessor
    assert (found.scale, found.offset) == (1.0, 0.0)


def test_backbone_comes_back_alone_and_from_a_classifier(saved, classifier, tmp_path):
    backbone = classifier.backbone
    backbone.save_to_preset(tmp_path / "b")
    assert not (tmp_path / "b" / "task.json").exists()
    for folder in (tmp_path / "b", saved):
        loaded = RedNetBackbone.from_preset(folder)
        assert type(loaded) is RedNetBackbone
        assert_same_weights(loaded, backbone)


def test_a_bare_backbone_gets_a_new_head(classifier, tmp_path):
    classifier.backbone.save_to_preset(tmp_path / "b")
    with pytest.raises(ValueError, match=r"num_classes.*Received: preset="):
        RedNetImageClassifier.from_preset(tmp_path / "b")
    model = RedNetImageClassifier.from_preset(tmp_path / "b", num_classes=5)
    assert model.output_shape == (None, 5)
    assert_same_weights(model.backbone, classifier.backbone)


def test_num_classes_puts_a_new_head_on_the_saved_backbone(saved, classifier):
    model = RedNetImageClassifier.from_preset(saved, num_classes=7)
    assert model.output_shape == (None, 7)
    assert model.class_names is None
    assert_same_weights(model.backbone, classifier.backbone)
    named = RedNetImageClassifier.from_preset(
        saved, num_classes=2, class_names=["a", "b"]
    )
    assert named.class_names == ["a", "b"]


def test_load_weights_false_leaves_them_random(saved, classifier, preset):
    for name in ("model.weights.h5", "task.weights.h5"):
        (preset / name).unlink()
    model = RedNetImageClassifier.from_preset(preset, load_weights=False)
    assert model.count_params() == classifier.count_params()
    with pytest.raises(AssertionError):
        assert_same_weights(model, classifier)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float16"])
def test_saved_dtype_comes_back_and_can_be_replaced(tmp_path, dtype):
    backbone = tiny_backbone(dtype=dtype)
    tiny_classifier(backbone).save_to_preset(tmp_path / "p")
    loaded = RedNetImageClassifier.from_preset(tmp_path / "p")
    assert loaded.backbone.dtype_policy.name == dtype
    assert_same_weights(loaded.backbone, backbone)
    other = RedNetImageClassifier.from_preset(tmp_path / "p", dtype="float32")
    assert other.backbone.dtype_policy.name == "float32"
    for weight, expected in zip(other.backbone.weights, backbone.get_weights()):
        np.testing.assert_array_equal(weight, expected.astype("float32"))


def test_channels_first_comes_back(tmp_path):
    backbone = tiny_backbone(data_format="channels_first", image_shape=(3, 32, 32))
    backbone.save_to_preset(tmp_path / "b")
    loaded = RedNetBackbone.from_preset(tmp_path / "b")
    assert loaded.data_format == "channels_first"
    assert loaded.image_shape == (3, 32, 32)
    assert_same_weights(loaded, backbone)


def test_another_depth_is_refused(tmp_path):
    blocks = {"stackwise_num_blocks": [1, 2, 4, 1], "stackwise_strides": [1, 2, 2, 2]}
    filters = {"stackwise_num_filters": [32] * 4, "spatial_operator": "convolution"}
    model = RedNetImageClassifier(RedNetBackbone(**blocks, **filters), 2)
    model.save_to_preset(tmp_path / "p")
    assert isinstance(RedNet26.from_preset(tmp_path / "p"), RedNet26)
    with pytest.raises(ValueError, match=r"depth 26, not 50.*Received: preset="):
        RedNet50.from_preset(tmp_path / "p")


def test_an_unknown_name_lists_what_exists(tmp_path):
    with pytest.raises(ValueError) as caught:
        RedNetImageClassifier.from_preset("rednet_49_imagenet")
    message = str(caught.value)
    assert message.endswith("Received: preset='rednet_49_imagenet'")
    assert all(name in message for name in PRESETS)
    with pytest.raises(ValueError, match=r"no config.json.*Received: preset="):
        RedNetImageClassifier.from_preset(tmp_path)


def test_a_preprocessor_of_another_kind_is_refused(classifier, tmp_path):
    import keras

    layer = keras.layers.Rescaling(1 / 255)
    model = tiny_classifier(classifier.backbone, preprocessor=layer)
    with pytest.raises(ValueError, match=r"RedNetImageConverter.*Received:"):
        model.save_to_preset(tmp_path / "p")
    assert list(tmp_path.iterdir()) == []
