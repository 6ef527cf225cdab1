"""1x1 convolutions quantized by Keras, in layers and in models."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution.layers import Involution1D, Involution2D
from keras_involution.layers._pointwise import PointwiseConv2D
from keras_involution.models import InvolutionFeaturePyramid, InvolutionTower
from tests.marks import one_backend

LAST = {"data_format": "channels_last"}
pytestmark = pytest.mark.filterwarnings(
    "ignore:Layer .* does not have a `quantize` method"
)


def built(layer, *shape):
    """A model of the layer, with weights that are all different."""
    model = keras.Sequential([keras.Input(shape), layer])
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.2, 1.2, w.shape) for w in model.weights])
    return model


def answers(model) -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(2, *model.input_shape[1:]))
    return keras.ops.convert_to_numpy(model(x.astype("float32"), training=False))


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_kernel_is_rounded_channel_by_channel(use_bias, tmp_path):
    layer = PointwiseConv2D(3, 1, strides=2, use_bias=use_bias, **LAST)
    model = built(layer, 5, 6, 4)
    kernel, before = keras.ops.convert_to_numpy(layer.kernel), answers(model)
    model.quantize("int8")
    steps = np.abs(kernel).max((0, 1, 2)) / 127
    rounded = keras.ops.convert_to_numpy(layer.kernel)
    assert (np.abs(rounded - kernel) <= 0.51 * steps).all()
    np.testing.assert_allclose(rounded, np.round(kernel / steps) * steps, rtol=1e-6)
    dtypes = [keras.backend.standardize_dtype(w.dtype) for w in layer.weights]
    assert sorted(dtypes) == ["float32"] * (1 + use_bias) + ["int8"]
    assert 0 < np.abs(answers(model) - before).max() < 0.02
    assert [w.name for w in layer.trainable_weights] == ["bias"] * use_bias
    model.save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(answers(again), answers(model))


def test_an_involution(tmp_path):
    model = built(Involution1D(3, groups=2, strides=2, **LAST), 9, 8)
    before = answers(model)
    model.quantize("int8")
    [layer] = model.layers
    assert layer.reduce.quantization_mode == layer.span.quantization_mode == "int8"
    assert layer.quantization_mode is None
    assert 0 < np.abs(answers(model) - before).max() < 0.01 * np.abs(before).max()
    model.save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(answers(again), answers(model))


@one_backend
@pytest.mark.parametrize("name", ["pyramid", "tower"])
def test_layers_that_hold_involutions(name, tmp_path):
    x = keras.Input((8, 8, 32), name="maps")
    if name == "tower":
        y = InvolutionTower(2, kernel_size=3, **LAST)(x)
    else:
        pyramid = InvolutionFeaturePyramid(3, 3, 16, kernel_size=3, **LAST)
        y = pyramid({"P3": x})["P3"]
    model = keras.Model(x, y)
    model.quantize("int8")
    model.save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(answers(again), answers(model))


@one_backend
def test_other_precisions_compute_with_the_same_integers(tmp_path):
    layer = Involution2D(3, groups=2, dtype="mixed_bfloat16", **LAST)
    model = built(layer, 5, 5, 8)
    model.quantize("int8")
    assert layer.compute_dtype == "bfloat16" and layer.variable_dtype == "float32"
    config = layer.get_config()
    assert config["dtype"]["config"]["source_name"] == "mixed_bfloat16"
    new = built(Involution2D.from_config(config), 5, 5, 8)
    for one, other in zip(layer.weights, new.weights, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)


@one_backend
def test_low_rank_matrices_beside_integers(tmp_path):
    layer = PointwiseConv2D(3, 1, **LAST)
    model = built(layer, 5, 6, 4)
    model.quantize("int8")
    before = answers(model)
    layer.enable_lora(2)
    np.testing.assert_allclose(answers(model), before, rtol=1e-6)
    layer.lora_kernel_b.assign(np.full(layer.lora_kernel_b.shape, 0.5))
    adapted = answers(model)
    assert np.abs(adapted - before).max() > 0.1
    model.save_weights(tmp_path / "a.weights.h5")
    model.load_weights(tmp_path / "a.weights.h5")  # Now includes the integers.
    np.testing.assert_allclose(answers(model), adapted, atol=0.05)


@one_backend
def test_what_has_no_policy_is_refused():
    layer = Involution2D(3, groups=2, **LAST)
    model = built(layer, 5, 5, 8)
    model.quantize("int8", filters="span")
    with pytest.raises(ValueError, match=r"all of its 1x1 .*Received: name="):
        layer.get_config()
    with pytest.raises(ValueError, match=r"only 'int8'. Received: mode='float8'"):
        built(PointwiseConv2D(3, 1, dtype="float8_from_float32", **LAST), 5, 6, 4)
