"""The table of built-in presets, their folders and the classes are consistent."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import keras_involution
from benchmarks._cards import tables
from benchmarks.write_presets import files_of
from examples._demo.photos import CLASS_NAMES, load_photos
from keras_involution import (
    RedNet26,
    RedNet50,
    RedNetBackbone,
    RedNetImageClassifier,
    _builtin,
)
from keras_involution._builtin import PRESETS
from keras_involution.hub import PresetError, _locate
from keras_involution.hub._builtin import published_weights
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
    files = [f for f in (CHECKOUT / name).iterdir() if ".weights." not in f.name]
    written = {path.name: path.read_text("utf-8") for path in files}
    assert without_versions(written) == without_versions(files_of(name))


def test_every_folder_is_in_the_table():
    assert {path.name for path in CHECKOUT.iterdir()} == set(PRESETS)


@one_backend
@pytest.mark.parametrize("page", tables.TABLES)
def test_tables_are_those_of_the_metadata(page, tmp_path, monkeypatch):
    """Sizes, accuracies, downloads and times; a changed number changes the page."""
    text = (tables.ROOT / page).read_text("utf-8")
    assert text == tables.page_with_table(page), (
        "run python -m benchmarks.write_presets"
    )
    entry = PRESETS["rednet_50_imagenet"]
    larger = {**entry["published"], "file_bytes": [71_000_000, 72_000_000]}
    monkeypatch.setitem(PRESETS, "rednet_50_imagenet", {**entry, "published": larger})
    changed = tables.page_with_table(page)
    assert changed == text.replace("| 62 MB |", "| 71 MB |") != text


@pytest.mark.parametrize("name", PRESETS)
def test_tables_of_the_documentation_have_the_numbers_of_the_metadata(name):
    """Table rows with a preset and its top-1 accuracy match the metadata."""
    accuracy = PRESETS[name]["metadata"]["accuracy"]
    pages = [CHECKOUT.parent / "README.md", *CHECKOUT.parent.glob("docs/**/*.md")]
    for page in pages:
        for head, row in rows_about(name, page.read_text("utf-8")):
            for title, cell in zip(head, row):
                if re.search(r"top-[15]\b", title, re.I) and "/" not in title:
                    key = "top_1" if "1" in title else "top_5"
                    assert float(cell.strip(" %*")) == accuracy[key], (page, row)


def rows_about(name: str, text: str) -> list[tuple[list[str], list[str]]]:
    rows, head = [], []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.lstrip().startswith("|"):
            head = []
        elif not head:
            head = cells
        elif any(cell.strip("`") == name for cell in cells):
            rows.append((head, cells))
    return rows


def test_the_drift_check_can_fail():
    table = "| name | Top-1 |\n| --- | --- |\n| `rednet_26_tiny_imagenet` | 24.61 |"
    assert rows_about(TRAINED, table) == [
        (["name", "Top-1"], [f"`{TRAINED}`", "24.61"])
    ]
    assert RedNet26.presets[TRAINED]["accuracy"]["top_1"] == 39.82


def test_list_presets():
    names = keras_involution.list_presets()
    assert set(names) == set(PRESETS) and names[0] == "rednet_26_imagenet"
    found = keras_involution.list_presets("*_50_*")
    assert found == ["rednet_50_imagenet", "rednet_50_tiny_imagenet"]
    assert keras_involution.list_presets("resnet*") == []
    assert TRAINED in keras_involution.list_presets("rednet*", pretrained=True)
    with pytest.raises(ValueError, match=r"must be a string.*Received: pattern=26"):
        keras_involution.list_presets(26)


def test_pretrained_presets_have_weights_somewhere(monkeypatch):
    bare = {**PRESETS["rednet_50_imagenet"], "published": None}
    monkeypatch.setitem(PRESETS, "rednet_50_imagenet", bare)
    names = keras_involution.list_presets(pretrained=True)
    assert "rednet_50_imagenet" not in names
    with_handle = {**bare, "handle": "hf://user/name"}
    monkeypatch.setitem(PRESETS, "rednet_50_imagenet", with_handle)
    assert "rednet_50_imagenet" in keras_involution.list_presets(pretrained=True)


def test_weights_that_come_along():
    """Half precision on disk, float32 in the model; the model recognizes a watch."""
    sizes = [file.stat().st_size for file in CHECKOUT.rglob("*.h5")]
    assert max(sizes) < 20e6 and sum(sizes) < 45e6
    model = RedNet26.from_preset(TRAINED)
    parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    assert parameters == PRESETS[TRAINED]["metadata"]["parameters"]
    assert model.dtype_policy.name == model.backbone.dtype_policy.name == "float32"
    for weight in model.get_weights():
        np.testing.assert_array_equal(weight, weight.astype("float16"))
    images, labels = load_photos("test")
    watches = np.asarray(
        model.preprocessor(images[labels == CLASS_NAMES.index("watch")])
    )
    order = model.predict(watches, verbose=0).argsort(-1)
    right = (order[:, -5:] == model.class_names.index("stopwatch")).any(-1).sum()
    assert right >= 6, "of 20 photos; guessing gives 0 or 1"


@pytest.mark.parametrize("name", ["rednet_26_imagenet", "rednet_50_imagenet"])
def test_load_weights_false_builds_the_published_network(name):
    cls = getattr(keras_involution, f"RedNet{DEPTHS[name]}")
    model = cls.from_preset(name, load_weights=False)
    parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    assert parameters == PRESETS[name]["metadata"]["parameters"]
    assert model.output_shape == (None, 1000)
    assert model.preprocessor.image_size == (224, 224)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_its_weights_or_says_where_they_are(name, tmp_path):
    published = published_weights(name)
    if published is None:
        assert _builtin.has_weights(CHECKOUT / name)
        return
    metadata = json.loads((CHECKOUT / name / "metadata.json").read_text("utf-8"))
    assert metadata["parameter_count"] < 40e6 and len(metadata["class_names"]) == 1000
    assert len(set(metadata["class_names"])) == 1000
    (least, most) = published.file_bytes
    # The head has 2,049 weights per class. Moving statistics of the backbone count.
    assert least == 4 * (metadata["parameter_count"] + 2_049_000) < most
    assert published.file_name == f"RedNet{DEPTHS[name]}_pretrained.pdparams"


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
