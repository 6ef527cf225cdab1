"""The cost of networks, compared with published numbers and with manual counts."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from keras_involution.layers import Involution1D, Involution2D
from keras_involution.models import (
    RedNetBackbone,
    RedNetImageClassifier,
    model_cost,
)
from tests.marks import one_backend

# Parameters, multiply-adds, and the README's column "FLOPs", of the 7x7 stem.
PUBLISHED = {
    26: (9_233_886, 1.709, 1.73),
    38: (12_387_706, 2.191, 2.22),
    50: (15_541_526, 2.673, 2.71),
    101: (25_653_670, 4.683, 4.74),
    152: (33_985_302, 6.703, 6.79),
}


def classifier(depth: int, **kwargs) -> RedNetImageClassifier:
    arguments = {"data_format": "channels_last", **kwargs}
    return RedNetImageClassifier(RedNetBackbone.from_depth(depth, **arguments), 1000)


@one_backend
@pytest.mark.parametrize("depth", PUBLISHED)
def test_published_costs(depth):
    cost = model_cost(classifier(depth, stem_kernel_size=7), (224, 224, 3))
    parameters, macs, flops = PUBLISHED[depth]
    assert cost.parameters == parameters
    assert round(cost.macs / 1e9, 3) == macs
    assert abs(cost.published_flops / 1e9 - flops) < 0.0065
    assert not cost.uncounted


@one_backend
def test_layouts_agree_and_models_are_left_alone():
    last, first = (
        classifier(26, data_format=f"channels_{o}") for o in ("last", "first")
    )
    one = model_cost(last, (64, 96, 3))
    other = model_cost(first, (3, 64, 96))
    assert one.macs == other.macs > 0
    assert one.published_flops == other.published_flops
    last.backbone.trainable = False
    assert model_cost(last, (64, 96, 3)) == one
    assert last.backbone.get_layer("stem_1_conv").output is not None
    assert not last.backbone.trainable


def test_by_hand():
    inputs = keras.Input((None, None, 32))
    x = layers.Conv2D(8, 3, strides=2, padding="same", groups=4, name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    x = Involution2D(
        5, groups=2, strides=2, reduction_ratio=2, data_format="channels_last",
        name="involution",
    )(x)  # fmt: skip
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = layers.Dense(3, name="dense")(x)
    model = keras.Model(inputs, outputs)
    cost = model_cost(model, (8, 12, 32))
    found = {row.name: row for row in cost.rows}
    assert found["conv"].output_shape == (4, 6, 8)
    assert found["conv"].macs == 24 * 8 * 9 * 8
    assert found["conv"].others == 24 * 8
    assert found["norm"].parameters == 16 and found["norm"].others == 2 * 24 * 8
    positions = 2 * 3
    products = 8 * 4 + 4 * (25 * 2) + 25 * 8
    assert found["involution"].macs == positions * products
    assert found["pool"].others == positions * 8
    assert found["dense"].macs == 24 and found["dense"].parameters == 27
    statistics = 2 * 8 + 2 * 4
    assert cost.parameters == model.count_params() - statistics
    text = str(cost)
    assert f"{cost.macs:,}" in text.splitlines()[-1]
    assert len(text.splitlines()) == len(cost.rows) + 2


def test_other_ranks_and_unknown_layers():
    inputs = keras.Input((None, 8))
    x = Involution1D(3, data_format="channels_last")(inputs)
    x = layers.LSTM(4, name="memory")(x)
    cost = model_cost(keras.Model(inputs, x), (10, 8))
    assert cost.uncounted == ("memory",) and "Not counted: memory" in str(cost)
    assert cost.macs == 10 * (8 * 2 + 2 * 3 + 3 * 8)


def test_refusals():
    inputs = keras.Input((None, 8))
    model = keras.Model(inputs, layers.Dense(2)(inputs))
    for shape in ((None, 8), (0, 8)):
        with pytest.raises(ValueError, match=r"positive integers.*Received"):
            model_cost(model, shape)
    for shape in ((4, 9), (4, 4, 8)):
        with pytest.raises(ValueError, match="must match the input shape"):
            model_cost(model, shape)
    with pytest.raises(ValueError, match="built functional model"):
        model_cost(keras.Sequential([layers.Dense(2)]), (4,))


def test_weights_of_its_own_beside_the_layers_inside():
    class Scaled(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],))
            self.dense = layers.Dense(3)
            self.dense.build(input_shape)

        def call(self, inputs):
            return self.dense(inputs * self.scale)

    inputs = keras.Input((4,))
    shared = Scaled(name="scaled")
    model = keras.Model(inputs, [shared(inputs), shared(inputs)])
    cost = model_cost(model, (4,))
    assert cost.parameters == model.count_params() == 4 + 15
    assert cost.macs == 2 * 12
    assert cost.uncounted == ("scaled",)


def test_models_in_models():
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(5), layers.ReLU()])
    inputs = keras.Input((6,))
    outputs = layers.Dense(2)(inner(inputs))
    cost = model_cost(keras.Model(inputs, outputs), (6,))
    assert [row.kind for row in cost.rows] == ["Dense", "ReLU", "Dense"]
    assert cost.macs == 6 * 5 + 5 * 2
    assert model_cost(inner, (6,)).macs == 30
