"""At inference the layer folds normalization into `reduce`, with equal outputs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_involution.layers import Involution1D, Involution2D, Involution3D

LAYERS = {1: Involution1D, 2: Involution2D, 3: Involution3D}
UNIT = {"float32": 2**-24, "mixed_bfloat16": 2**-8, "mixed_float16": 2**-11}


def trained_layer(rank: int, data_format: str, dtype: str):
    """A layer whose statistics and scales are far from their initial values."""
    layer = LAYERS[rank](3, groups=2, data_format=data_format, dtype=dtype)
    spatial = (5, 4, 3)[:rank]
    shape = (2, *spatial, 8) if data_format == "channels_last" else (2, 8, *spatial)
    rng = np.random.default_rng(rank)
    x = rng.standard_normal(shape).astype("float32")
    layer.build(shape)
    norm = layer.reduce_norm
    norm.gamma.assign([1.5, -0.5])
    norm.beta.assign([0.3, 0.7])
    norm.moving_mean.assign([0.4, -0.2])
    norm.moving_variance.assign([0.01, 4.0])
    return layer, ops.convert_to_tensor(x, dtype=layer.compute_dtype)


def one_after_the_other(layer, x):
    """Applies reduce, normalize and span as separate layers."""
    normalized = layer.reduce_norm(layer.reduce(x), training=False)
    return layer.span(ops.relu(normalized))


@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("rank", LAYERS)
def test_equals_the_layers_one_after_the_other(rank, dtype, data_format):
    layer, x = trained_layer(rank, data_format, dtype)
    expected = one_after_the_other(layer, x)
    expected = np.asarray(ops.convert_to_numpy(ops.cast(expected, "float32")))
    _, kernels = layer(x, training=False, return_kernels=True)
    kernels = ops.convert_to_numpy(ops.cast(kernels, "float32")).reshape(expected.shape)
    error = np.linalg.norm(kernels - expected) / np.linalg.norm(expected)
    # The folded and the separate layers each round four times.
    assert error < 8 * UNIT[dtype]


def test_a_frozen_layer_uses_its_statistics_also_in_training():
    layer, x = trained_layer(2, "channels_last", "float32")
    layer.trainable = False
    before = [np.array(v) for v in layer.get_weights()]
    frozen = layer(x, training=True)
    np.testing.assert_array_equal(frozen, layer(x, training=False))
    for old, new in zip(before, layer.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_training_uses_the_statistics_of_the_batch():
    layer, x = trained_layer(2, "channels_last", "float32")
    trained = layer(x, training=True)
    assert keras.ops.any(keras.ops.abs(trained - layer(x, training=False)) > 1e-3)
    assert not np.allclose(layer.reduce_norm.moving_mean, [0.4, -0.2])
