"""Normalization statistics, recomputed over whole batches."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution.training import update_batch_norm_statistics


def network() -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(4, name="dense"),
            layers.BatchNormalization(name="first"),
            layers.ReLU(),
            layers.Dropout(0.5, name="drop"),
            layers.BatchNormalization(name="second", momentum=0.9),
            layers.BatchNormalization(name="frozen", trainable=False),
        ]
    )


def numpy(x) -> np.ndarray:
    return keras.ops.convert_to_numpy(x)


def test_they_are_those_of_the_batches():
    model = network()
    random = np.random.default_rng(0)
    batches = random.normal(1, 2, (3, 8, 5)).astype("float32")
    dense, first, second, frozen = map(
        model.get_layer, ("dense", "first", "second", "frozen")
    )
    second.moving_mean.assign([9.0, 9.0, 9.0, 9.0])
    kernel, bias = dense.get_weights()
    update_batch_norm_statistics(model, iter(batches))
    x = batches @ kernel + bias
    np.testing.assert_allclose(numpy(first.moving_mean), x.mean((0, 1)), atol=1e-5)
    variance = x.var(1)
    np.testing.assert_allclose(
        numpy(first.moving_variance), variance.mean(0), atol=1e-4
    )
    x = (x - x.mean(1, keepdims=True)) / np.sqrt(variance[:, None] + 1e-3)
    x = np.maximum(x, 0)
    np.testing.assert_allclose(numpy(second.moving_mean), x.mean((0, 1)), atol=1e-5)
    np.testing.assert_allclose(
        numpy(second.moving_variance), x.var(1).mean(0), atol=1e-4
    )
    np.testing.assert_array_equal(numpy(frozen.moving_mean), np.zeros(4))
    np.testing.assert_array_equal(dense.get_weights()[0], kernel)
    assert (first.momentum, second.momentum) == (0.99, 0.9)
    assert model.get_layer("drop").rate == 0.5


def test_without_a_batch():
    with pytest.raises(ValueError, match=r"at least one batch\. Received: batches=0"):
        update_batch_norm_statistics(network(), [])
