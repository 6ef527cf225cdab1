"""The table of built-in presets, their folders and the classes stay in step."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import keras_involution
from benchmarks.write_presets import files_of
from examples._demo.photographs import CLASS_NAMES, load_photographs
from keras_involution import RedNet26, RedNet50, RedNetBackbone, RedNetImageClassifier
from keras_involution.hub import PresetError, _builtin, _locate
from keras_involution.models.rednet_presets import PRESETS
from tests.hub.networks import assert_same_weights, tiny_classifier
from tests.marks import one_backend

TRAINED = "rednet_26_tiny_imagenet"
CHECKOUT = Path(keras_involution.__file__).parents[1] / "presets"
DEPTHS = {name: preset["metadata"]["depth"] for name, preset in PRESETS.items()}


def without_versions(files: dict[str, str]) -> dict[str, object]:
    read = {
        name: json.loads(text) if name.endswith(".json") else text
        for name, text in files.items()
    }
    read["metadata.json"].pop("keras_version")
    return read


@pytest.mark.parametrize("name", PRESETS)
@one_backend
def test_folders_are_what_the_classes_write(name):
    files = [f for f in (CHECKOUT / name).iterdir() if f.suffix != ".h5"]
    written = {path.name: path.read_text("utf-8") for path in files}
    assert without_versions(written) == without_versions(files_of(name))


def test_every_folder_is_in_the_table():
    assert {path.name for path in CHECKOUT.iterdir()} == set(PRESETS)


def test_weights_that_come_along():
    """Half precision on disk, float32 in the model; they know a watch."""
    sizes = [file.stat().st_size for file in CHECKOUT.rglob("*.h5")]
    assert max(sizes) < 20e6 and sum(sizes) < 45e6
    model = RedNet26.from_preset(TRAINED)
    parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    assert parameters == PRESETS[TRAINED]["metadata"]["parameters"]
    assert model.dtype_policy.name == model.backbone.dtype_policy.name == "float32"
    for weight in model.get_weights():
        np.testing.assert_array_equal(weight, weight.astype("float16"))
    images, labels = load_photographs("test")
    watches = np.asarray(
        model.preprocessor(images[labels == CLASS_NAMES.index("watch")])
    )
    order = model.predict(watches, verbose=0).argsort(-1)
    right = (order[:, -5:] == model.class_names.index("stopwatch")).any(-1).sum()
    assert right >= 6, "of 20 photographs; by chance it would be 0 or 1"


@pytest.mark.parametrize("name", ["rednet_26_imagenet", "rednet_50_imagenet"])
def test_load_weights_false_builds_the_published_network(name):
    cls = getattr(keras_involution, f"RedNet{DEPTHS[name]}")
    model = cls.from_preset(name, load_weights=False)
    parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    assert parameters == PRESETS[name]["metadata"]["parameters"]
    assert model.output_shape == (None, 1000)
    assert model.preprocessor.image_size == (224, 224)


@pytest.mark.parametrize("cls", [RedNet50, RedNetImageClassifier, RedNetBackbone])
def test_weights_that_are_published_nowhere(cls):
    with pytest.raises(PresetError) as caught:
        cls.from_preset("rednet_50_imagenet")
    for words in (
        "published nowhere",
        "keras-involution convert",
        "load_weights=False",
    ):
        assert words in str(caught.value)
    assert str(caught.value).endswith("Received: preset='rednet_50_imagenet'")


def test_another_depth():
    with pytest.raises(PresetError, match=r"depth 26, not 50.*Received: preset="):
        RedNet50.from_preset("rednet_26_imagenet", load_weights=False)


def test_classes_list_the_presets_that_they_load():
    assert set(RedNetImageClassifier.presets) == set(PRESETS)
    assert set(RedNetBackbone.presets) == set(PRESETS)
    assert list(RedNet26.presets) == ["rednet_26_imagenet", TRAINED]
    entry = RedNet50.presets["rednet_50_imagenet"]
    assert entry["accuracy"] == {"top_1": 78.35, "top_5": 94.13}
    assert entry["accuracy_source"].startswith("published, ")
    assert {"description", "parameters", "handle"} <= set(entry)
    with pytest.raises(TypeError):
        RedNet50.presets["mine"] = {}


def test_a_handle_takes_over_where_there_are_no_weights(
    published, classifier, monkeypatch
):
    entry = {**PRESETS["rednet_50_imagenet"], "handle": published}
    monkeypatch.setitem(PRESETS, "rednet_50_imagenet", entry)
    model = RedNetImageClassifier.from_preset("rednet_50_imagenet")
    assert_same_weights(model, classifier)


def test_an_installed_folder_with_weights_is_loaded(monkeypatch, tmp_path, classifier):
    tiny_classifier(classifier.backbone).save_to_preset(tmp_path / "rednet_50_imagenet")
    monkeypatch.setattr(_builtin, "PLACES", (tmp_path, *_builtin.PLACES))
    model = RedNetImageClassifier.from_preset("rednet_50_imagenet")
    assert_same_weights(model.backbone, classifier.backbone)


def test_a_folder_of_ones_own_comes_before_a_built_in_name(
    monkeypatch, tmp_path, classifier
):
    classifier.save_to_preset(tmp_path / "rednet_50_imagenet")
    monkeypatch.chdir(tmp_path)
    source = _locate.locate("rednet_50_imagenet")
    assert source.has("model.weights.h5")


def test_the_wheel_brings_the_folders():
    import tomllib

    text = (CHECKOUT.parent / "pyproject.toml").read_text("utf-8")
    wheel = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"presets": "keras_involution/_presets"}
    assert _builtin.PLACES[0].name == "_presets"
