"""A fused network has the same outputs with fewer operations."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution.models import fuse_for_inference
from tests.export.networks import classifier, drawn, inputs
from tests.hub.networks import tiny_classifier
from tests.marks import one_backend


def norms(model: keras.Model) -> int:
    nested = [norms(m) for m in model.layers if isinstance(m, keras.Model)]
    kinds = keras.layers.BatchNormalization
    return sum(nested) + sum(isinstance(m, kinds) for m in model.layers)


def close(fused, model, x, tolerance=1e-5) -> None:
    expected, answer = (
        keras.ops.convert_to_numpy(keras.ops.cast(m(x, training=False), "float32"))
        for m in (model, fused)
    )
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(answer, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("spatial_operator", ("involution", "convolution"))
def test_it_equals_the_network(spatial_operator):
    model = classifier(spatial_operator=spatial_operator)
    before = model.get_weights()
    fused = model.fuse_for_inference()
    assert not fused.trainable_variables
    # Normalization after an involution stays: there are no weights to fold it into.
    assert norms(fused) == {"involution": 2, "convolution": 0}[spatial_operator]
    assert norms(model) > norms(fused)
    close(fused, model, inputs(2, 40, 48))
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_it_keeps_the_weights_of_its_moment():
    model = classifier()
    fused, x = fuse_for_inference(model), inputs(1, 32, 32)
    old = keras.ops.convert_to_numpy(fused(x))
    model.set_weights([weight * 1.1 for weight in model.get_weights()])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(fused(x)), old)
    close(fuse_for_inference(model), model, x)


def test_what_must_not_be_fused_is_not():
    """Another consumer, an activation, or an axis other than the channels."""
    image = keras.Input((6, 6, 4))
    shared = keras.layers.Conv2D(4, 3, padding="same")(image)
    read_twice = keras.layers.BatchNormalization()(shared)
    active = keras.layers.Conv2D(4, 1, activation="relu")(read_twice)
    after_relu = keras.layers.BatchNormalization()(active)
    plain = keras.layers.Conv2D(4, 1, use_bias=True)(after_relu)
    other_axis = keras.layers.BatchNormalization(axis=1)(plain)
    biased = keras.layers.Conv2D(5, 1)(keras.layers.Add()([other_axis, shared]))
    fusable = keras.layers.BatchNormalization(scale=False)(biased)
    model = drawn(keras.Model(image, fusable))
    fused = fuse_for_inference(model)
    assert norms(model) == 4 and norms(fused) == 3
    close(fused, model, inputs(2, 6, 6, c=4))


@one_backend
def test_channels_first_and_half_precision():
    for options in ({"data_format": "channels_first"}, {"dtype": "mixed_bfloat16"}):
        model = classifier(**options)
        x = inputs(2, 40, 48, options.get("data_format", "channels_last"))
        close(
            model.fuse_for_inference(), model, x, 0.05 if "dtype" in options else 1e-5
        )


@one_backend
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_adapted_and_quantized_layers():
    model = tiny_classifier()
    model.backbone.enable_lora(2)
    for weight in model.backbone.trainable_weights:
        if weight.name == "lora_kernel_b":
            weight.assign(keras.ops.ones(weight.shape) * 0.1)
    model.quantize("int8")
    fused, x = model.fuse_for_inference(), inputs(2, 32, 32)
    assert fused.get_layer("predictions").quantization_mode == "int8"
    assert not [w for w in fused.weights if "lora" in w.name]
    close(fused, model, x, 1e-3)


@one_backend
def test_sequential_models_and_layers_of_others():
    stack = [keras.Input((6, 6, 4)), keras.layers.Conv2D(4, 3)]
    stack += [keras.layers.BatchNormalization(), keras.layers.Activation("relu")]
    model = drawn(keras.Sequential(stack))
    fused = fuse_for_inference(model)
    assert [type(la) for la in fused.layers[1:]] == [keras.layers.Conv2D]
    close(fused, model, inputs(2, 6, 6, c=4))

    class Unsaved(keras.layers.Layer):
        def __init__(self, factor):
            super().__init__()

        def call(self, x):
            return x

    image = keras.Input((6, 6, 4))
    with pytest.raises(ValueError, match=r"(?s)cannot be copied.*Received: layer="):
        fuse_for_inference(keras.Model(image, Unsaved(2)(image)))


def test_only_functional_models():
    class Subclass(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match=r"Only functional and.*Received: model="):
        fuse_for_inference(Subclass())
