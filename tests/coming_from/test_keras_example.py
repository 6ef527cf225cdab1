"""The page on the Keras example: each row, and its weights in `Involution2D`."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution import visualization
from keras_involution.layers import Involution2D, load_keras_example
from tests.coming_from.tables import Checks, block, rows
from tests.marks import one_backend

PAGE = "keras-example.md"
CHECKS = Checks()
pytestmark = one_backend


def layer_of(**arguments) -> Involution2D:
    return Involution2D(data_format="channels_last", **arguments)


def features(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def by_the_example(x: np.ndarray, kernels: np.ndarray, size: int) -> np.ndarray:
    """The sum of the example with one group: kernels (B, H, W, K * K, 1, 1)."""
    half = size // 2
    padded = np.pad(x, ((0, 0), (half, half), (half, half), (0, 0)))
    height, width = x.shape[1:3]
    taps = [(i, j) for i in range(size) for j in range(size)]
    patches = [padded[:, i : i + height, j : j + width] for i, j in taps]
    return (np.stack(patches, axis=3) * kernels[..., 0]).sum(axis=3)


@CHECKS.row("`channel`")
def _():
    assert layer_of(kernel_size=3)(features(1, 4, 4, 5)).shape[-1] == 5


@CHECKS.row("`group_number`")
def _():
    _, kernels = layer_of(groups=3)(features(1, 4, 4, 6), return_kernels=True)
    assert kernels.shape[3] == 3


@CHECKS.row("`kernel_size`")
def _():
    assert layer_of(kernel_size=5).kernel_size == (5, 5)
    with pytest.raises(ValueError, match="odd"):
        layer_of(kernel_size=4)


@CHECKS.row("`stride`")
def _():
    assert layer_of(strides=2)(features(1, 8, 8, 4)).shape[1:3] == (4, 4)


@CHECKS.row("`reduction_ratio`")
def _():
    layer = layer_of(reduction_ratio=2)
    layer.build((None, 8, 8, 6))
    assert layer.reduce.kernel.shape[-1] == 3


@CHECKS.row("`output, kernel = layer(x)`")
@CHECKS.row("kernel of shape (B, H, W, K * K, 1, G)")
def _():
    layer = layer_of(kernel_size=3, groups=2)
    outputs, kernels = layer(features(1, 4, 5, 6), return_kernels=True)
    assert tuple(outputs.shape) == (1, 4, 5, 6)
    assert tuple(kernels.shape) == (1, 4, 5, 2, 3, 3)


@CHECKS.row("`BatchNormalization()` inside")
def _():
    theirs = keras.layers.BatchNormalization()
    layer = layer_of(momentum=0.99, epsilon=1e-3)
    assert (layer.momentum, layer.epsilon) == (theirs.momentum, theirs.epsilon)


@CHECKS.row("heat map: sum of `kernel` over its last axes")
def _():
    inputs = keras.Input((6, 6, 4))
    layer = layer_of(kernel_size=3, groups=2, name="inv_1")
    model = keras.Model(inputs, layer(inputs))
    x = features(1, 6, 6, 4)
    _, kernels = layer(x, return_kernels=True)
    sums = keras.ops.convert_to_numpy(kernels).sum(axis=(-2, -1))
    maps = visualization.kernel_heatmaps(model, x)["inv_1"]
    np.testing.assert_allclose(maps, np.moveaxis(sums, -1, 1), atol=1e-5)


def test_each_row_has_a_check():
    assert set(rows(PAGE)) == set(CHECKS)


@pytest.mark.parametrize("left", CHECKS)
def test_row(left):
    CHECKS[left]()


@pytest.mark.parametrize("training", [False, True])
def test_converted_weights_give_the_outputs_of_the_example(training):
    """`kernel_gen` is a part of the example's layer; its sum is implemented above."""
    names = block(PAGE)
    kernel_gen, layer = names["kernel_gen"], names["layer"]
    rng = np.random.default_rng(1)
    kernel_gen.set_weights([rng.uniform(0.1, 1, w.shape) for w in kernel_gen.weights])
    order = load_keras_example(layer, kernel_gen.get_weights())
    assert order.tolist() == names["order"].tolist() == [0, 1, 2, 3]
    x = features(2, 8, 8, 4)
    flat = keras.ops.convert_to_numpy(kernel_gen(x, training=training))
    expected = by_the_example(x, flat[..., None, None], 3)
    outputs = keras.ops.convert_to_numpy(layer(x, training=training))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
