"""RedNet as a family of keras-hub: loading and saving by its general classes."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_involution import RedNetBackbone, RedNetImageClassifier
from keras_involution.hub import PresetError
from tests.hub.networks import (
    CLASS_NAMES,
    assert_same_weights,
    outputs,
    raw_images,
    tiny_backbone,
)
from tests.integrations.conftest import NAME, forget_adapter
from tests.marks import one_backend

pytestmark = pytest.mark.filterwarnings(
    # keras-hub compiles every task, and Keras says that no optimizer came with the
    # weights.
    "ignore:Skipping variable loading for optimizer",
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
)
BUILTIN = "rednet_26_imagenet"


def scores(model) -> np.ndarray:
    """The outputs of a classifier for the images, with its preprocessing."""
    prepared = model.preprocessor(raw_images().astype("float32"))
    return keras.Model.predict(model, np.asarray(prepared), verbose=0)


@pytest.fixture
def handle(hub, published, environment, monkeypatch):
    """The handle of the preset in the double, with keras-hub as the client."""
    from huggingface_hub import constants

    # keras-hub uses huggingface_hub, which reads the environment when it is imported.
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE
    template = template.replace(constants.ENDPOINT, hub.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", environment["HF_HUB_CACHE"])
    return published


@pytest.fixture(params=["folder", "handle"])
def place(request, saved):
    """Where the preset is: a folder, or a repository of the double, over HTTP."""
    if request.param == "folder":
        return str(saved)
    return request.getfixturevalue("handle")


def test_a_classifier_without_the_adapter(keras_hub, handle, classifier, hub):
    task = keras_hub.models.ImageClassifier.from_preset(handle)
    assert type(task.backbone) is RedNetBackbone
    np.testing.assert_array_equal(scores(task), scores(classifier))
    assert len(hub.requests("GET", "/_objects/")) == 2
    assert hub.leaks == []


def test_a_classifier(adapter, keras_hub, place, classifier):
    task = keras_hub.models.ImageClassifier.from_preset(place)
    assert type(task) is keras_hub.models.ImageClassifier
    assert type(task.backbone) is adapter.RedNetBackbone
    assert_same_weights(task, classifier)
    np.testing.assert_array_equal(scores(task), scores(classifier))


@pytest.mark.parametrize("name", ["Backbone", "FeaturePyramidBackbone"])
def test_a_backbone(adapter, keras_hub, place, classifier, name):
    backbone = getattr(keras_hub.models, name).from_preset(place)
    assert type(backbone) is adapter.RedNetBackbone
    assert backbone.get_config() == classifier.backbone.get_config()
    assert_same_weights(backbone, classifier.backbone)
    x = np.asarray(classifier.preprocessor(raw_images()))
    expected = classifier.backbone.predict(x, verbose=0)
    np.testing.assert_array_equal(backbone.predict(x, verbose=0), expected)


def test_preprocessing(adapter, keras_hub, place, classifier):
    images = raw_images().astype("float32")
    expected = np.asarray(classifier.preprocessor(images))
    for general in (
        keras_hub.models.ImageClassifierPreprocessor,
        keras_hub.layers.ImageConverter,
    ):
        layer = general.from_preset(place)
        assert type(layer) is general
        np.testing.assert_array_equal(np.asarray(layer(images)), expected)


def test_our_own_from_preset_of_the_adapter(adapter, place, classifier):
    backbone = adapter.RedNetBackbone.from_preset(place)
    assert type(backbone) is adapter.RedNetBackbone
    assert_same_weights(backbone, classifier.backbone)
    wide = adapter.RedNetBackbone.from_preset(place, image_shape=(None, None, 4))
    assert type(wide) is adapter.RedNetBackbone
    assert type(RedNetBackbone.from_preset(place)) is RedNetBackbone


def test_a_new_head(adapter, keras_hub, saved, classifier, tmp_path):
    task = keras_hub.models.ImageClassifier.from_preset(str(saved), num_classes=5)
    assert task.output_shape == (None, 5)
    assert_same_weights(task.backbone, classifier.backbone)
    task.backbone.save_to_preset(tmp_path / "headless")
    task = keras_hub.models.ImageClassifier.from_preset(
        str(tmp_path / "headless"), num_classes=4
    )
    assert task.output_shape == (None, 4)
    assert_same_weights(task.backbone, classifier.backbone)


def test_what_keras_hub_saves(adapter, keras_hub, saved, classifier, tmp_path):
    """The same files as without the adapter, except for the class names."""
    task = keras_hub.models.ImageClassifier.from_preset(str(saved))
    task.save_to_preset(str(tmp_path))
    for file, name in (
        ("task.json", "keras_hub>ImageClassifier"),
        ("config.json", "keras_involution>RedNetBackbone"),
    ):
        text = (tmp_path / file).read_text("utf-8")
        assert json.loads(text)["registered_name"] == name
    model = RedNetImageClassifier.from_preset(tmp_path)
    assert type(model.backbone) is RedNetBackbone
    assert_same_weights(model, classifier)
    np.testing.assert_array_equal(outputs(model), outputs(classifier))
    assert model.class_names is None
    model = RedNetImageClassifier.from_preset(tmp_path, class_names=CLASS_NAMES)
    assert model.class_names == CLASS_NAMES


def test_a_backbone_that_keras_hub_saves(adapter, keras_hub, saved, tmp_path):
    backbone = keras_hub.models.Backbone.from_preset(str(saved))
    backbone.save_to_preset(str(tmp_path), max_shard_size=100_000 / 2**30)
    assert not (tmp_path / "model.weights.h5").exists()
    again = keras_hub.models.Backbone.from_preset(str(tmp_path))
    assert_same_weights(again, backbone)
    assert_same_weights(RedNetBackbone.from_preset(tmp_path), backbone)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_a_quantized_head(adapter, keras_hub, saved, classifier, tmp_path, mode):
    """keras-hub does not store the quantization of a head, but accepts `head_dtype`."""
    general = keras_hub.models.ImageClassifier
    model = RedNetImageClassifier.from_preset(saved)
    model.quantize(mode)
    model.save_to_preset(tmp_path / "ours")
    task = general.from_preset(str(tmp_path / "ours"))
    np.testing.assert_array_equal(scores(task), scores(model))
    task = general.from_preset(str(saved))
    # The first call builds the converter of keras-hub, as `quantize` requires.
    scores(task)
    task.quantize(mode)
    task.save_weights(tmp_path / "a.weights.h5")
    task.save_to_preset(str(tmp_path / "theirs"))
    for cls in (general, RedNetImageClassifier):
        again = cls.from_preset(str(tmp_path / "theirs"), head_dtype=model.head_dtype)
        np.testing.assert_array_equal(scores(again), scores(model))
        again.get_layer("predictions").bias.assign([9.0, 9.0, 9.0])
        again.load_weights(tmp_path / "a.weights.h5")
        np.testing.assert_array_equal(scores(again), scores(model))


def test_lora_weights_of_keras_hub(adapter, saved, tmp_path):
    """keras-hub saves and loads the LoRA matrices of our `enable_lora`."""
    backbone = adapter.RedNetBackbone.from_preset(saved)
    backbone.enable_lora(2)
    kernels = [w for w in backbone.trainable_weights if w.name == "lora_kernel_b"]
    for kernel in kernels:
        kernel.assign(np.full(kernel.shape, 0.1))
    backbone.save_lora_weights(str(tmp_path / "a.lora.h5"))
    again = adapter.RedNetBackbone.from_preset(saved)
    again.load_lora_weights(str(tmp_path / "a.lora.h5"))
    assert len(kernels) > 8
    for weight, other in zip(backbone.weights, again.weights, strict=True):
        np.testing.assert_array_equal(weight, other)


def test_builtin_names(adapter, keras_hub):
    for cls in (keras_hub.models.Backbone, keras_hub.models.ImageClassifier):
        assert set(RedNetBackbone.presets) <= set(cls.presets)
    assert BUILTIN not in keras_hub.models.ResNetBackbone.presets
    backbone = keras_hub.models.Backbone.from_preset(BUILTIN, load_weights=False)
    assert type(backbone) is adapter.RedNetBackbone
    assert backbone.depth == 26
    converter = keras_hub.layers.ImageConverter.from_preset(BUILTIN)
    assert converter.image_size == (224, 224)


def test_builtin_names_without_weights_say_so(adapter, keras_hub, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"model\.weights\.json"):
        keras_hub.models.Backbone.from_preset(BUILTIN)


def test_where_builtin_names_lead(adapter, monkeypatch, tmp_path):
    """They lead to the package if it has the weights, else to the handle, if any."""
    presets = importlib.import_module(f"{NAME}._presets")
    folder = presets.folder_of(BUILTIN)
    assert presets._handle(BUILTIN) == str(folder)
    entry = {**presets.PRESETS[BUILTIN], "handle": "hf://owner/tiny"}
    monkeypatch.setitem(presets.PRESETS, BUILTIN, entry)
    assert presets._handle(BUILTIN) == "hf://owner/tiny"
    monkeypatch.setattr(presets, "folder_of", lambda name: tmp_path)
    (tmp_path / "model.weights.h5").touch()
    assert presets._handle(BUILTIN) == str(tmp_path)


def test_a_keras_hub_without_its_private_function(
    adapter, keras_hub, monkeypatch, saved
):
    from keras_hub.src.utils import preset_utils

    monkeypatch.delattr(preset_utils, "register_presets")
    for name in RedNetBackbone.presets:
        monkeypatch.delitem(preset_utils.BUILTIN_PRESETS, name)
    importlib.reload(adapter)
    assert type(keras_hub.models.Backbone.from_preset(str(saved))).__module__ == (
        adapter.RedNetBackbone.__module__
    )
    with pytest.raises(ValueError, match="Unknown preset identifier"):
        keras_hub.models.Backbone.from_preset(BUILTIN, load_weights=False)


def test_without_keras_hub(monkeypatch):
    """Simulates an environment without keras-hub."""
    known = {name: m for name, m in sys.modules.items() if name.startswith(NAME)}
    forget_adapter()
    for name in [name for name in sys.modules if name.startswith("keras_hub")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r"keras-involution\[keras-hub\].*Received: "):
        importlib.import_module(NAME)
    forget_adapter()
    sys.modules.update(known)


def test_no_rednet(adapter, keras_hub, saved, tmp_path):
    models = keras_hub.models
    with pytest.raises(ValueError, match=r"has no config\.json"):
        models.Backbone.from_preset(str(tmp_path))
    models.ResNetBackbone(
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        block_type="basic_block",
    ).save_to_preset(str(tmp_path))
    with pytest.raises(PresetError, match="not a RedNet"):
        adapter.RedNetBackbone.from_preset(tmp_path)
    for other in (models.ResNetImageClassifier, models.RetinaNetObjectDetector):
        with pytest.raises(ValueError, match="compatible with RedNetBackbone"):
            other.from_preset(str(saved))
    with pytest.raises(ValueError, match="not a subclass"):
        models.ResNetBackbone.from_preset(str(saved))


def test_damaged_weights(adapter, keras_hub, preset):
    (preset / "model.weights.h5").write_bytes(b"nothing")
    with pytest.raises((OSError, ValueError)):
        keras_hub.models.Backbone.from_preset(str(preset))


@one_backend
@pytest.mark.parametrize("order", ["first", "last"])
def test_our_own_classes_stay_as_they_are(
    keras_hub, order, saved, classifier, tmp_path
):
    """The adapter is imported before everything else, or after models are built."""
    shutil.copytree(saved, tmp_path / "preset")
    run = subprocess.run(
        [sys.executable, "-m", "tests.integrations.both_orders", order, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": keras.config.backend()},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), outputs(classifier))


def test_the_plain_class_beside_the_adapters(adapter, tmp_path):
    plain = tiny_backbone()
    assert type(plain) is RedNetBackbone
    assert not isinstance(plain, adapter.RedNetBackbone)
    plain.save(tmp_path / "plain.keras")
    loaded = keras.saving.load_model(tmp_path / "plain.keras")
    assert isinstance(loaded, RedNetBackbone)
    assert loaded.get_config() == plain.get_config()
    assert_same_weights(loaded, plain)
