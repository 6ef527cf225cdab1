"""A backbone at inference runs fewer steps than layers, with equal outputs."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution.layers import BatchNormalization, _normalized
from keras_involution.layers._pointwise import PointwiseConv2D
from keras_involution.models import _joined_steps
from tests.export.networks import classifier, inputs
from tests.marks import one_backend

TAKEN = _normalized.HAS_NORMALIZED


def layer_by_layer(model: keras.Model) -> keras.Model:
    """The same layers in plain functional models of Keras."""
    backbone = keras.Model(model.backbone.input, model.backbone.output)
    x = backbone(model.input)
    for layer in model.layers[2:]:
        x = layer(x)
    return keras.Model(model.input, x)


def equal(model, plain, x, **kwargs) -> None:
    expected = keras.ops.convert_to_numpy(plain(x, **kwargs))
    answer = keras.ops.convert_to_numpy(model(x, **kwargs))
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("smaller", (True, False), ids=("kernel", "map"))
@pytest.mark.parametrize("spatial_operator", ("involution", "convolution"))
def test_it_equals_the_layers(spatial_operator, smaller, monkeypatch):
    monkeypatch.setattr(_normalized, "_is_smaller_than_map", lambda *_: smaller)
    model = classifier(
        spatial_operator=spatial_operator,
        stackwise_num_filters=[32, 32],
        stackwise_num_blocks=[2, 1],
        stackwise_strides=[1, 2],
        drop_path_rate=0.2,
    )
    plain, x = layer_by_layer(model), inputs(2, 40, 51)
    equal(model, plain, x)
    equal(model, plain, x, training=False)
    steps = model.backbone._steps
    if not TAKEN:
        assert steps is None
        return
    layers = [layer for step in steps for layer in step.layers]
    # Each layer once; layers after a normalization are inside its step.
    assert sorted(map(id, layers)) == sorted(map(id, model.backbone.layers[1:]))
    kinds = (keras.layers.BatchNormalization, keras.layers.Add, keras.layers.ReLU)
    assert not [step for step in steps if isinstance(step.layers[0], kinds[1:])]
    alone = [step.layers[0] for step in steps if len(step.layers) == 1]
    assert not any(isinstance(layer, kinds) for layer in alone)


def test_the_smaller_one_is_scaled():
    kernel, image = np.zeros((1, 1, 64, 8)), np.zeros((1, 8, 9, 64))
    assert _normalized._is_smaller_than_map(kernel, image, (1, 1))
    assert not _normalized._is_smaller_than_map(kernel, image[:, :, 1:], (1, 1))
    assert not _normalized._is_smaller_than_map(kernel, image, (2, 1))
    open_image = keras.KerasTensor((1, None, 900, 64))
    assert not _normalized._is_smaller_than_map(kernel, open_image, (1, 1))


def test_weights_may_change_at_any_time():
    model = classifier()
    plain, x = layer_by_layer(model), inputs(2, 32, 32)
    model.compile("sgd", "mse")
    before = model.predict(x, verbose=0)
    norm = model.backbone.get_layer("stack0_block0_3_bn")
    norm.gamma.assign(norm.gamma * 3)
    norm.moving_mean.assign(norm.moving_mean + 1)
    equal(model, plain, x)
    model.set_weights([weight * 1.1 for weight in model.get_weights()])
    equal(model, plain, x)
    model.train_on_batch(x, np.ones((2, 3), "float32"))
    equal(model, plain, x)
    after = model.predict(x, verbose=0)
    np.testing.assert_allclose(after, model.predict_on_batch(x), rtol=1e-5, atol=1e-5)
    assert np.abs(after - before).max() > 0.1
    model.backbone.enable_lora(2)
    for weight in model.backbone.trainable_weights:
        weight.assign(weight + 0.1)
    equal(model, plain, x)


def test_training_equals_the_layers():
    model = classifier(stackwise_num_blocks=[2])
    x, norm = inputs(2, 32, 32), model.backbone.get_layer("stem_1_bn")
    plain = layer_by_layer(model)
    weights = model.get_weights()
    expected = keras.ops.convert_to_numpy(plain(x, training=True))
    mean = keras.ops.convert_to_numpy(norm.moving_mean)
    model.set_weights(weights)
    answer = keras.ops.convert_to_numpy(model(x, training=True))
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-6)
    assert bool(model.backbone._steps) == _normalized.TRAINS_JOINED


@one_backend
@pytest.mark.parametrize("drop_path_rate", (0.0, 0.5))
@pytest.mark.parametrize("trainable", (True, False), ids=("trained", "frozen"))
def test_gradients_of_training_equal_those_of_the_layers(drop_path_rate, trainable):
    import torch

    model = classifier(stackwise_num_blocks=[2], drop_path_rate=drop_path_rate)
    plain, x = layer_by_layer(model), inputs(2, 24, 27)
    model.backbone.get_layer("stack0_block1_3_bn").trainable = trainable
    weights, found = model.get_weights(), []
    random = [layer.drop.seed_generator.state for layer in drops_of(model.backbone)]
    start = [state.value.clone() for state in random]
    for network in (model, plain):
        model.set_weights(weights)
        for state, value in zip(random, start):
            state.assign(value)
        image = torch.tensor(x, requires_grad=True)
        network(image, training=True).square().sum().backward()
        grads = [w.value.grad.clone() for w in model.trainable_weights]
        found.append([image.grad, *grads, *map(torch.tensor, model.get_weights())])
        model.zero_grad()
    assert len(random) == (1 if drop_path_rate else 0)
    for ours, expected in zip(*found):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def drops_of(backbone: keras.Model) -> list:
    return [layer for layer in backbone.layers if hasattr(layer, "drop")]


@one_backend
def test_predict_evaluate_and_classify_take_the_steps(monkeypatch):
    model, taken = classifier(), []
    run = _joined_steps._Step.run
    monkeypatch.setattr(
        _joined_steps._Step,
        "run",
        lambda step, values: taken.append(step) or run(step, values),
    )
    model.compile("sgd", "mse")
    x = inputs(2, 32, 32)
    for use in (
        lambda: model.predict(x, verbose=0),
        lambda: model.predict_on_batch(x),
        lambda: model.evaluate(x, np.ones((2, 3), "float32"), verbose=0),
        lambda: model.classify(np.zeros((32, 32, 3), "uint8")),
    ):
        taken.clear()
        use()
        assert taken and not len(taken) % len(model.backbone._steps)


@one_backend
def test_other_formats_and_precisions_take_the_layers():
    for options in ({"data_format": "channels_first"}, {"dtype": "mixed_bfloat16"}):
        model = classifier(**options)
        x = inputs(1, 32, 32, options.get("data_format", "channels_last"))
        model(x, training=False)
        assert model.backbone._steps == []
    model = classifier()
    image = inputs(1, 32, 32)
    model.backbone((image * 50).astype("uint8"))
    assert model.backbone._steps is None


@one_backend
def test_gradients_and_inputs():
    import torch

    model, x = classifier(), torch.tensor(inputs(1, 24, 24))
    plain, kept = layer_by_layer(model), x.clone()
    with torch.no_grad():
        model(x, training=False)
        # Other layers may consume the input of a normalization without a convolution.
        norm = keras.layers.BatchNormalization(dtype="float32")
        norm.build(x.shape)
        _normalized.normalized(x, norm, shortcut=x, relu=True)
    assert torch.equal(x, kept)
    found = []
    for network in (model, plain):
        image = x.clone().requires_grad_()
        network(image, training=False).square().sum().backward()
        found.append(image.grad)
        found.append(model.backbone.get_layer("stem_1_bn").gamma.value.grad.clone())
        model.zero_grad()
    torch.testing.assert_close(found[0], found[2], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1], found[3], rtol=1e-4, atol=1e-5)


@one_backend
@pytest.mark.filterwarnings(
    # Forward mode, when it is first used in a process.
    "ignore:`torch.jit.script` is deprecated:DeprecationWarning"
)
def test_transformations_without_gradients():
    import torch
    from torch.autograd import forward_ad

    model = classifier()
    x, dx = torch.tensor(inputs(2, 24, 24)), torch.tensor(inputs(2, 24, 24)) + 1

    def run(image):
        return model(image, training=False)

    _, expected = torch.func.jvp(run, (x,), (dx,))
    with torch.no_grad():
        each = torch.func.vmap(run)(x[:, None])[:, 0]
        torch.testing.assert_close(each, run(x), rtol=1e-4, atol=1e-5)
        with forward_ad.dual_level():
            dual = run(forward_ad.make_dual(x, dx))
            tangent = forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(tangent, expected, rtol=1e-4, atol=1e-5)


class Joined(_joined_steps.JoinedSteps, keras.Model):
    pass


@one_backend
def test_what_is_read_again_is_not_overwritten():
    import torch

    def normalized(x):
        x = PointwiseConv2D(4, 1, use_bias=False)(x)
        return BatchNormalization()(x)

    entry = keras.Input((6, 6, 4))
    x = BatchNormalization()(entry)  # Its input belongs to the user.
    x = keras.layers.ReLU()(x)
    first = keras.layers.ReLU()(normalized(x))
    x = keras.layers.Add()([entry, normalized(first)])
    x = keras.layers.Add()([first, normalized(x)])
    x = keras.layers.Add()([first, normalized(x)])  # Uses the shortcut again.
    model = Joined(entry, keras.layers.Add()([first, normalized(x)]))
    plain, image = keras.Model(model.input, model.output), torch.randn(2, 6, 6, 4)
    kept = image.clone()
    with torch.no_grad():
        for _ in range(2):
            answer = model(image, training=False)
            assert torch.equal(image, kept)
            torch.testing.assert_close(answer, plain(image, training=False))
    assert any(step.overwrites for step in model._steps)
