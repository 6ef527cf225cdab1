"""Quantized models in files load as they were saved, or not at all."""

from __future__ import annotations

import json

import h5py
import keras
import numpy as np
import pytest

from keras_involution import RedNetImageClassifier
from tests.hub.networks import outputs, tiny_backbone, tiny_classifier
from tests.marks import one_backend

pytestmark = pytest.mark.filterwarnings(
    "ignore:Layer .* does not have a `quantize` method"
)
MODES = ("int8", "int4", "float8")


def quantized(mode: str) -> RedNetImageClassifier:
    model = tiny_classifier()
    before = outputs(model)
    model.quantize(mode)
    assert np.abs(outputs(model) - before).max() > 0
    return model


@pytest.mark.parametrize("mode", MODES)
def test_it_loads_as_it_was_saved(mode, tmp_path):
    model = quantized(mode)
    expected = outputs(model)
    # Twice, since what was loaded is saved again.
    for turn in ("first", "second"):
        model.save(tmp_path / f"{turn}.keras")
        model.save_weights(tmp_path / f"{turn}.weights.h5")
        model.save_to_preset(tmp_path / turn)
        again = keras.saving.load_model(tmp_path / f"{turn}.keras")
        np.testing.assert_array_equal(outputs(again), expected)
        again = RedNetImageClassifier.from_config(model.get_config())
        again.load_weights(tmp_path / f"{turn}.weights.h5")
        np.testing.assert_array_equal(outputs(again), expected)
        model = RedNetImageClassifier.from_preset(tmp_path / turn)
        np.testing.assert_array_equal(outputs(model), expected)
        assert model.get_layer("predictions").quantization_mode == mode
    pointwise = model.backbone.get_layer("stack0_block0_1_conv")
    assert pointwise.quantization_mode == ("int8" if mode == "int8" else None)
    smaller = model.with_image_shape((32, 32, 3))
    np.testing.assert_allclose(outputs(smaller), expected, rtol=1e-6)


@one_backend
@pytest.mark.parametrize("mode", MODES)
def test_another_dtype_or_head_of_a_quantized_preset(mode, tmp_path):
    model = quantized(mode)
    model.save_to_preset(tmp_path / "p")
    half = RedNetImageClassifier.from_preset(tmp_path / "p", dtype="bfloat16")
    assert half.get_layer("predictions").dtype_policy.name.endswith("_from_bfloat16")
    expected = outputs(model)
    error = np.abs(outputs(half).astype("float32") - expected).max()
    assert error < 0.05 * np.abs(expected).max()
    for changes in ({"num_classes": 4}, {"num_classes": 4, "dtype": "bfloat16"}):
        other = RedNetImageClassifier.from_preset(tmp_path / "p", **changes)
        assert other.get_layer("predictions").quantization_mode is None
        assert other.head_dtype.name == changes.get("dtype", "float32")


@one_backend
def test_quantizers_of_ones_own_are_refused(tmp_path):
    quantizers = keras.quantizers
    model = tiny_classifier()
    model.quantize(config=quantizers.Int8QuantizationConfig(activation_quantizer=None))
    for save in (model.get_config, lambda: model.save_to_preset(tmp_path / "p")):
        with pytest.raises(
            ValueError, match=r"default quantizers.*Received: mode='int8'"
        ):
            save()
    model = tiny_classifier()
    model.quantize(config=quantizers.Int4QuantizationConfig(block_size=16))
    model.save_to_preset(tmp_path / "p")
    again = RedNetImageClassifier.from_preset(tmp_path / "p")
    np.testing.assert_array_equal(outputs(again), outputs(model))


@one_backend
def test_policies_of_other_kinds_are_refused_in_a_backbone(tmp_path):
    quantized("int8").save_to_preset(tmp_path / "p")
    file = tmp_path / "p" / "config.json"
    config = json.loads(file.read_text())
    policy = config["config"]["dtype"]
    assert policy["class_name"] == "QuantizedDTypePolicy"
    for change, message in (
        ({"mode": "float8"}, "must have the mode 'int8'"),
        ({"source_name": "int8_from_float32"}, "must be one of"),
    ):
        changed = {**policy, "config": {**policy["config"], **change}}
        config["config"]["dtype"] = changed
        file.write_text(json.dumps(config))
        with pytest.raises(ValueError, match=f"`dtype` {message}.*Received: preset"):
            RedNetImageClassifier.from_preset(tmp_path / "p")


CONFIG = ("config", "policy_map", "predictions", "config")


@one_backend
@pytest.mark.parametrize(
    "change, message",
    [
        (("config", "policy_map", "(a+)+b", {}), "the single key 'predictions'"),
        (("config", "policy_map", {}), "the single key 'predictions'"),
        (("config", "default_policy", "int8_from_float32"), "must be one of"),
        (("config", None), "must have a config"),
        ((*CONFIG, "mode", "gptq/4/128"), "must have the mode"),
        ((*CONFIG, "mode", "int4/99999999"), "must have the mode"),
        ((*CONFIG, "source_name", "float99"), "must be one of"),
        ((*CONFIG, "amax_history_length", 10**9), "a history of 1 to"),
    ],
)
def test_policies_of_other_kinds_are_refused(change, message, tmp_path):
    quantized("float8").save_to_preset(tmp_path / "p")
    file = tmp_path / "p" / "task.json"
    task = json.loads(file.read_text())
    *path, last, value = change
    place = task["config"]["head_dtype"]
    for key in path:
        place = place[key]
    place[last] = value
    file.write_text(json.dumps(task))
    with pytest.raises(ValueError, match=f"`head_dtype` .*{message}.*Received: preset"):
        RedNetImageClassifier.from_preset(tmp_path / "p")


@one_backend
def test_float_weights_do_not_pass_for_integers(tmp_path):
    quantized("int8").save_to_preset(tmp_path / "p")
    with h5py.File(tmp_path / "p" / "task.weights.h5", "r+") as file:
        weights = file["layers/dense/vars"]
        kernel = weights["0"][()]
        assert kernel.dtype == "int8"
        del weights["0"]
        weights["0"] = kernel.astype("float32")
    with pytest.raises(ValueError, match="does not hold int8 values"):
        RedNetImageClassifier.from_preset(tmp_path / "p")


@pytest.mark.parametrize("mode", MODES)
def test_a_checkpoint_is_loaded_before_quantizing(mode, tmp_path):
    """Refused before the file is read, and no weight changes."""
    model = quantized(mode)
    expected = outputs(model)
    message = r"before `quantize`.*Received: layer=.*mode='" + mode
    with pytest.raises(ValueError, match=message):
        model.load_checkpoint(tmp_path / "nothing.pth")
    with pytest.raises(ValueError, match=message):
        model.published_state_dict()
    np.testing.assert_array_equal(outputs(model), expected)


@one_backend
def test_a_checkpoint_of_other_networks(tmp_path):
    model = tiny_classifier()
    model.backbone.enable_lora(2)
    for each in (model, model.backbone):
        with pytest.raises(ValueError, match=r"before `enable_lora`.*Received: layer="):
            each.load_checkpoint(tmp_path / "nothing.pth")
    backbone = tiny_backbone(spatial_operator="convolution")
    for call in (backbone.published_state_dict, lambda: backbone.load_checkpoint("a")):
        with pytest.raises(ValueError, match=r"with involutions.*Received: backbone="):
            call()
