"""`torch.compile` sees an involution layer, and a network of them, as one graph."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution.layers import BatchNormalization, Involution2D
from keras_involution.layers._pointwise import pointwise_convolution
from tests.marks import one_backend

pytestmark = [one_backend, pytest.mark.filterwarnings("ignore")]  # Of the compiler.
LAST = {"data_format": "channels_last"}


@pytest.fixture(autouse=True)
def afresh():
    import torch

    torch.compiler.reset()
    yield
    keras.backend.clear_session(free_memory=False)


def in_one_graph(call, x: np.ndarray):
    """The result of the compiled `call`; a graph break raises an error."""
    import torch

    compiled = torch.compile(call, fullgraph=True, backend="eager")
    return keras.ops.convert_to_numpy(compiled(torch.from_numpy(x)))


@pytest.mark.parametrize("strides", (1, 2))
def test_no_graph_break_inside_a_layer(strides):
    layer = Involution2D(3, groups=2, strides=strides, **LAST)
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype("float32")
    expected = keras.ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(in_one_graph(layer, x), expected, rtol=1e-5)


@pytest.mark.parametrize("quantize", (False, True))
def test_no_graph_break_in_a_network(quantize):
    """A network of six layers; Keras's own loop breaks graphs of more layers."""
    images = keras.Input((6, 6, 4))
    y = pointwise_convolution(2, 8, **LAST)(images)
    y = keras.layers.ReLU()(BatchNormalization()(y))
    y = keras.layers.ReLU()(Involution2D(3, groups=2, **LAST)(y))
    model = keras.Model(images, y)
    if quantize:
        model.quantize("int8")
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(in_one_graph(model, x), expected, rtol=1e-4, atol=1e-5)
