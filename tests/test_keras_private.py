"""The private names of Keras that the package needs have not changed."""

from __future__ import annotations

import keras
import numpy as np

from keras_involution import _keras_private
from tests.marks import one_backend

pytestmark = one_backend


class Block(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(2, name="inner")

    def build(self, shape):
        self.inner.build(shape)
        self.factor = self.add_weight(shape=(2,), name="factor")

    def call(self, inputs):
        return self.factor * self.inner(inputs)


def test_a_variable_that_a_layer_forgets():
    block = Block()
    block.build((None, 3))
    forgotten = block.factor
    _keras_private.untrack(block, forgotten)
    assert not any(weight is forgotten for weight in block.weights)
    assert len(block.weights) == 2


def model() -> keras.Model:
    inputs = keras.Input((3,))
    outputs = keras.layers.ReLU(name="last")(Block()(inputs))
    return keras.Model(inputs, outputs)


def test_layers_inside_of_layers():
    built = model()
    inside = _keras_private.flat_layers(built)
    assert _keras_private.flat_layers(built, include_self=True)[0] is built
    block = next(layer for layer in inside if isinstance(layer, Block))
    assert block.inner in inside
    assert _keras_private.flat_layers(block, recursive=False) == [block.inner]
    assert _keras_private.own_trainable_variables(block) == [block.factor]


def test_who_made_and_who_reads_a_tensor():
    built = model()
    last = built.get_layer("last")
    assert _keras_private.layer_of(built.output) is last
    [node] = _keras_private.nodes_of(last)
    assert node.input_tensors[0] is built.layers[1].output


def test_metrics_are_built_before_a_step():
    built = model()
    built.compile("sgd", "mse", metrics=["mae"])
    batch = (np.ones((2, 3), "float32"), np.ones((2, 2), "float32"), None)
    assert not built.optimizer.built
    _keras_private.build_metrics(built, batch)
    assert built.optimizer.built and len(built.metrics) == 2
