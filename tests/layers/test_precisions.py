"""Layers compute in the requested precision."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution.layers import (
    BatchNormalization,
    Involution1D,
    Involution2D,
    Involution3D,
)

LAYERS = {1: Involution1D, 2: Involution2D, 3: Involution3D}
only_torch = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="Keras narrows float64 on PyTorch."
)


def image(rank: int, data_format: str = "channels_last") -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((2, *(5, 4, 6)[:rank], 4))
    return np.moveaxis(x, -1, 1) if data_format == "channels_first" else x


def outputs(layer, x, dtype: str, training: bool) -> np.ndarray:
    y = layer(keras.ops.convert_to_tensor(x, dtype), training=training)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    return np.asarray(keras.ops.convert_to_numpy(y), "float64")


@pytest.mark.parametrize("dtype", ("float16", "bfloat16"))
@pytest.mark.parametrize("rank", LAYERS)
def test_half_precision_with_strides(rank, dtype):
    x = image(rank)
    half = LAYERS[rank](3, 2, 2, dtype=dtype)
    for training in (False, True):
        y = outputs(half, x, dtype, training)
        assert np.isfinite(y).all() and np.abs(y).max() > 0.01
    exact = LAYERS[rank](3, 2, 2, dtype="float32")
    exact.build(x.shape)
    exact.set_weights([np.asarray(w, "float32") for w in half.get_weights()])
    expected = outputs(exact, x, "float32", False)
    error = np.linalg.norm(outputs(half, x, dtype, False) - expected)
    assert error <= {"float16": 0.01, "bfloat16": 0.05}[dtype] * np.linalg.norm(
        expected
    )


@only_torch
@pytest.mark.parametrize("training", (False, True))
@pytest.mark.parametrize("strides", (1, 2))
@pytest.mark.parametrize("rank", LAYERS)
def test_float64_is_not_narrowed(rank, strides, training, data_format):
    """Inputs that differ by less than float32 resolves have different outputs."""
    x = image(rank, data_format)
    layer = LAYERS[rank](3, 2, strides, data_format=data_format, dtype="float64")
    y = outputs(layer, x, "float64", training)
    moved = outputs(layer, x * (1 + 1e-11), "float64", training)
    change = np.abs(moved - y).max() / np.abs(y).max()
    assert 1e-13 < change < 1e-9


@only_torch
@pytest.mark.parametrize("training", (False, True))
def test_float64_of_batch_normalization(training):
    x = image(2)
    layer = BatchNormalization(dtype="float64", epsilon=1e-5)
    layer.build(x.shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    gamma, beta, mean, variance = layer.get_weights()
    if training:
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    expected = gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta
    np.testing.assert_allclose(outputs(layer, x, "float64", training), expected, 1e-10)
