"""Weights of the involution layer of keras.io's example."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution.layers import Involution2D, load_keras_example


def example(x, weights, groups: int, size: int) -> np.ndarray:
    """The example's layer at inference with strides of 1, in NumPy.

    Kernels (H, W, taps, 1, groups), patches (H, W, taps, channels of a group, groups).
    """
    kernel, bias, gamma, beta, mean, variance, span_kernel, span_bias = weights
    reduced = (x @ kernel[0, 0] + bias - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    kernels = np.maximum(reduced, 0) @ span_kernel[0, 0] + span_bias
    batch, height, width, channels = x.shape
    kernels = kernels.reshape(batch, height, width, size**2, 1, groups)
    padded = np.pad(x, [(0, 0), *[(size // 2, size // 2)] * 2, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(
        batch, height, width, size**2, channels // groups, groups
    )
    return (kernels * patches).sum(3).reshape(x.shape)


def drawn(groups: int, size: int) -> list[np.ndarray]:
    rng = np.random.default_rng(groups)
    shapes = [(1, 1, 12, 6), *[(6,)] * 5, (1, 1, 6, size**2 * groups)]
    shapes.append((size**2 * groups,))
    weights = [rng.normal(size=shape) for shape in shapes]
    weights[5] = np.abs(weights[5])
    return weights


def built(groups: int, size: int, **kwargs) -> Involution2D:
    kwargs = {"data_format": "channels_last", "reduction_ratio": 2, **kwargs}
    layer = Involution2D(size, groups, **kwargs)
    first = kwargs["data_format"] == "channels_first"
    layer.build((None, 12, 7, 9) if first else (None, 7, 9, 12))
    return layer


@pytest.mark.parametrize("groups, size", [(1, 3), (3, 5), (4, 3), (12, 3)])
def test_it_computes_what_the_example_computes(groups, size):
    weights, layer = drawn(groups, size), built(groups, size)
    order = load_keras_example(layer, weights)
    x = np.random.default_rng(0).normal(size=(2, 7, 9, 12))
    expected = example(x, weights, groups, size)
    y = layer(keras.ops.convert_to_tensor(x[..., order], "float32"))
    answer = keras.ops.convert_to_numpy(y)
    error = np.abs(answer - expected[..., order]).max()
    assert error < 1e-5 * np.abs(expected).max()
    np.testing.assert_array_equal(np.sort(order), np.arange(12))
    assert (order == np.arange(12)).all() == (groups in (1, 12))


def test_what_cannot_be_converted_is_refused():
    weights = drawn(3, 5)
    for layer in (
        built(3, 5, strides=2),
        built(3, 5, data_format="channels_first"),
        Involution2D(5, 3),
        keras.layers.Dense(2),
    ):
        with pytest.raises(ValueError, match="Received: "):
            load_keras_example(layer, weights)
    for others in (weights[:7], drawn(4, 3), [w[..., :-1] for w in weights]):
        with pytest.raises(
            ValueError, match=r"must have the shapes.*Received: shapes="
        ):
            load_keras_example(built(3, 5), others)
