"""The page on timm, keras-hub, keras-cv and keras.applications: each table row."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_involution
from keras_involution import (
    RedNet26,
    RedNet50,
    RedNetBackbone,
    RedNetImageClassifier,
    RedNetImageConverter,
)
from tests.coming_from.tables import Checks, rows
from tests.hub.conftest import environment as environment
from tests.hub.conftest import hub as hub
from tests.hub.networks import assert_same_weights, tiny_backbone, tiny_classifier
from tests.integrations.conftest import imported_adapter
from tests.marks import old_content, one_backend

pytestmark = [
    one_backend,
    old_content,
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer"),
]
TIMM, HUB, APPLICATIONS = Checks(), Checks(), Checks()
TABLES = {
    "timm.md": TIMM,
    "keras-hub.md": HUB,
    "keras-applications.md": APPLICATIONS,
}
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), "uint8")
X = IMAGES[:, :32, :32].astype("float32") / 128 - 1


@pytest.fixture(scope="module")
def model():
    return tiny_classifier()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("coming_from") / "preset"
    model.save_to_preset(folder)
    return folder


@pytest.fixture
def given(model, folder, hub, tmp_path):
    """The arguments of the checks: a model, its preset, a Hub, an empty folder."""
    return {"model": model, "folder": folder, "hub": hub, "empty": tmp_path / "empty"}


@TIMM.row("`timm.list_models(pretrained=True)`")
def _(model, **_):
    assert "rednet_26_tiny_imagenet" in keras_involution.list_presets()


@TIMM.row("`feature_info`")
def _(model, **_):
    assert [entry["num_chs"] for entry in model.backbone.feature_info] == [128, 128]


@TIMM.row("`forward_intermediates(x, indices=2)`")
def _(model, **_):
    _, maps = model.backbone.forward_intermediates(X, indices=2)
    assert [map.shape[1] for map in maps] == [8, 4]


@TIMM.row("`timm.create_model(name, pretrained=True)`")
def _(**_):
    model = RedNet26.from_preset("rednet_26_tiny_imagenet")
    assert model.num_classes == 200


@TIMM.row("`pretrained=False`")
def _(model, folder, **_):
    other = RedNetImageClassifier.from_preset(folder, load_weights=False)
    assert other.count_params() == model.count_params()
    assert not np.array_equal(other.get_weights()[0], model.get_weights()[0])


@TIMM.row("`num_classes=10`")
def _(folder, **_):
    other = RedNetImageClassifier.from_preset(folder, num_classes=10)
    assert other.output_shape == (None, 10)


@TIMM.row("`num_classes=0`")
def _(model, **_):
    features = RedNetImageClassifier(model.backbone, include_top=False)
    assert tuple(features(X).shape) == (2, 128)


@TIMM.row("`in_chans=1`")
def _(folder, **_):
    gray = RedNetImageClassifier.from_preset(folder, image_shape=(64, 64, 1))
    assert gray.input_shape == (None, 64, 64, 1)


@TIMM.row("`img_size=96`")
def _(folder, **_):
    larger = RedNetImageClassifier.from_preset(folder, image_shape=(96, 96, 3))
    assert larger.input_shape == (None, 96, 96, 3)
    assert larger.preprocessor.image_size == (96, 96)


@TIMM.row("`checkpoint_path=path`")
def _(model, folder, **_):
    assert_same_weights(RedNetImageClassifier.from_preset(folder), model)


@TIMM.row("`features_only=True`")
@HUB.row("`backbone.pyramid_outputs`")
def _(model, **_):
    maps = model.backbone.pyramid_outputs
    assert list(maps) == ["P2", "P3"]


@TIMM.row("`model.forward_features(x)`")
def _(model, **_):
    assert tuple(model.backbone(X).shape) == (2, 4, 4, 128)


@TIMM.row("`model.get_classifier()`")
def _(model, **_):
    assert model.get_layer("predictions").units == 3


@TIMM.row("`model.default_cfg`, `create_transform`")
def _(model, **_):
    assert tuple(model.preprocessor(IMAGES).shape) == (2, 32, 32, 3)


@TIMM.row("`drop_rate`")
def _(model, **_):
    dropped = RedNetImageClassifier(model.backbone, 3, dropout=0.3)
    assert dropped.get_layer("output_dropout").rate == 0.3


@TIMM.row("`drop_path_rate`")
def _(**_):
    assert tiny_backbone(drop_path_rate=0.2).drop_path_rate == 0.2


@TIMM.row("`model.eval()`")
def _(model, **_):
    dropped = RedNetImageClassifier(model.backbone, 3, dropout=0.9)
    first, second = (keras.ops.convert_to_numpy(dropped(X)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@TIMM.row('`push_to_hf_hub(model, "user/name")`')
@TIMM.row("`hf-hub:user/name`")
@HUB.row("`keras_hub.upload_preset(uri, folder)`")
def _(model, hub, **_):
    model.push_to_hub("owner/new")
    assert_same_weights(RedNetImageClassifier.from_preset("hf://owner/new"), model)


@HUB.row("`keras_hub.models.ImageClassifier.from_preset(folder)`")
def _(model, folder, **_):
    import keras_hub

    theirs = keras_hub.models.ImageClassifier.from_preset(str(folder))
    ours, same = (keras.ops.convert_to_numpy(m(X)) for m in (model, theirs))
    np.testing.assert_allclose(same, ours, rtol=1e-5, atol=1e-5)


@HUB.row("`keras_hub.models.Backbone.from_preset(folder)`")
def _(model, folder, **_):
    import keras_hub

    with imported_adapter():
        theirs = keras_hub.models.Backbone.from_preset(str(folder))
    assert_same_weights(theirs, model.backbone)


@HUB.row("`ResNetBackbone(...)`")
def _(**_):
    config = tiny_backbone().get_config()
    names = ("num_filters", "num_blocks", "strides")
    assert [list(config[f"stackwise_{n}"]) for n in names] == [[32, 32], [1, 1], [1, 2]]


@HUB.row("`ResNetImageClassifier(backbone, num_classes)`")
def _(model, **_):
    assert RedNetImageClassifier(model.backbone, 7).output_shape == (None, 7)


@HUB.row("`ImageConverter`")
def _(model, **_):
    assert isinstance(model.preprocessor, RedNetImageConverter)


@HUB.row("`model.save_to_preset(folder)`")
def _(model, empty, **_):
    model.save_to_preset(empty)
    assert (empty / "task.json").is_file() and (empty / "config.json").is_file()


@HUB.row("`Model.presets`")
def _(**_):
    assert "rednet_26_tiny_imagenet" in RedNet26.presets


@HUB.row("`backbone.pyramid_level_inputs`")
def _(model, **_):
    names = model.backbone.pyramid_level_inputs
    assert list(names) == ["P2", "P3"]
    for name in names.values():
        model.backbone.get_layer(name)


@HUB.row("`keras_cv.models.ImageClassifier(backbone=...)`")
def _(**_):
    """Checks what keras-cv reads; tests/integrations/test_keras_cv.py trains."""
    assert set(tiny_backbone().pyramid_level_inputs.values()) <= {
        layer.name for layer in tiny_backbone().layers
    }


@APPLICATIONS.row('`weights="imagenet"`')
def _(**_):
    assert "rednet_50_imagenet" in RedNet50.presets


@APPLICATIONS.row("`weights=None`")
@APPLICATIONS.row("`include_top=False`")
@APPLICATIONS.row('`pooling="avg"`')
@APPLICATIONS.row('`classifier_activation="softmax"`')
def _(model, **_):
    whole = RedNetImageClassifier(model.backbone, 3, activation="softmax")
    sums = keras.ops.convert_to_numpy(keras.ops.sum(whole(X), axis=1))
    np.testing.assert_allclose(sums, 1, rtol=1e-5)
    features = RedNetImageClassifier(model.backbone, include_top=False, pooling="avg")
    assert features.output_shape == (None, 128)
    plain = RedNetImageClassifier(model.backbone, include_top=False, pooling=None)
    assert len(plain.output_shape) == 4


@APPLICATIONS.row('`weights="file.weights.h5"`')
def _(model, empty, **_):
    path = str(empty) + ".weights.h5"
    model.save_weights(path)
    other = RedNetImageClassifier(
        RedNetBackbone.from_config(model.backbone.get_config()), 3
    )
    other.load_weights(path)
    assert_same_weights(other, model)


@APPLICATIONS.row("`classes=10`")
@APPLICATIONS.row("`input_shape=(96, 96, 3)`")
def _(**_):
    small = RedNet26(num_classes=10, image_shape=(96, 96, 3))
    assert small.output_shape == (None, 10)
    assert small.input_shape == (None, 96, 96, 3)


@APPLICATIONS.row("`preprocess_input(x)`")
def _(model, **_):
    prepared = keras.ops.convert_to_numpy(model.preprocessor(IMAGES))
    raw = model.predict(IMAGES, verbose=0)
    expected = keras.Model.predict(model, prepared, verbose=0)
    np.testing.assert_allclose(raw, expected, rtol=1e-4, atol=1e-4)


@APPLICATIONS.row("`decode_predictions(model.predict(x))`")
def _(model, **_):
    assert model.classify(IMAGES)[0][0].name in model.class_names


@pytest.mark.parametrize("page", TABLES)
def test_each_row_has_a_check(page):
    assert set(rows(page)) == set(TABLES[page])


@pytest.mark.parametrize(
    ("page", "left"), [(page, left) for page in TABLES for left in TABLES[page]]
)
def test_row(page, left, given):
    TABLES[page][left](**given)
