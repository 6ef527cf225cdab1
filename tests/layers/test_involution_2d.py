"""The layer: shapes, configuration, saving, precision, bad arguments."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_involution import ops as involution_ops
from keras_involution.layers import Involution2D


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def images(data_format: str, height: int = 9, width: int = 8, channels: int = 12):
    x = noise(2, height, width, channels)
    return x if data_format == "channels_last" else np.moveaxis(x, -1, 1)


@pytest.mark.parametrize("strides", (1, 2, (2, 1)))
def test_eager_symbolic_and_declared_shapes_agree(strides, data_format):
    layer = Involution2D(3, groups=3, strides=strides, data_format=data_format)
    x = images(data_format)
    eager = tuple(layer(x).shape)
    assert eager == layer.compute_output_shape(x.shape)
    inputs = keras.Input(batch_shape=x.shape)
    assert eager == layer(inputs).shape


@pytest.mark.parametrize("strides", (1, 2))
def test_unknown_sizes_stay_unknown_and_any_size_runs(strides, data_format):
    shape = (None, None, 12) if data_format == "channels_last" else (12, None, None)
    inputs = keras.Input(shape)
    outputs = Involution2D(5, 2, strides=strides, data_format=data_format)(inputs)
    assert outputs.shape == (None, *shape)
    model = keras.Model(inputs, outputs)
    for height, width in ((9, 8), (5, 11)):
        x = images(data_format, height, width)
        layer = model.layers[-1]
        y = model.predict(x, verbose=0)
        assert y.shape == layer.compute_output_shape(x.shape)
        assert_near(y, layer(x))


@pytest.mark.parametrize("sides", ((6, 6), (6, 5), (5, 6)))
def test_as_many_columns_as_weights_of_a_position(sides):
    """Six columns and six weights: the bias must not be added along the columns."""
    x = noise(2, *sides, 4)
    values = {}
    for data_format in ("channels_last", "channels_first"):
        layer = Involution2D((1, 3), groups=2, data_format=data_format)
        given = x if data_format == "channels_last" else np.moveaxis(x, -1, 1)
        layer.build(given.shape)
        rng = np.random.default_rng(1)
        layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.weights])
        values[data_format] = ops.convert_to_numpy(layer(given))
    last = np.moveaxis(values["channels_first"], 1, -1)
    assert_near(last, values["channels_last"])


def assert_near(a, b, tolerance: float = 1e-5) -> None:
    a, b = (np.asarray(ops.convert_to_numpy(v), "float64") for v in (a, b))
    assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


def test_returned_kernels_are_those_that_were_applied(data_format):
    layer = Involution2D(3, groups=4, strides=2, data_format=data_format)
    x = images(data_format)
    outputs, kernels = layer(x, return_kernels=True)
    again = involution_ops.involution(x, kernels, strides=2, data_format=data_format)
    assert_near(outputs, again)
    assert_near(outputs, layer(x))
    symbolic = layer(keras.Input(batch_shape=x.shape), return_kernels=True)
    assert [tuple(t.shape) for t in symbolic] == [
        tuple(outputs.shape),
        tuple(kernels.shape),
    ]


def test_the_kernel_of_a_group_is_shared_by_neighbouring_channels():
    layer = Involution2D(3, groups=2, data_format="channels_last")
    x = images("channels_last", channels=8)
    x[..., 1:4] = x[..., :1]  # The four channels of the first group are equal.
    y = ops.convert_to_numpy(layer(x))
    assert np.abs(y[..., :4] - y[..., :1]).max() == 0
    assert np.abs(y[..., 4] - y[..., 0]).max() > 0


def test_at_strides_kernels_come_from_the_mean_of_each_step():
    layer = Involution2D(3, groups=1, strides=2, data_format="channels_last")
    x = images("channels_last", height=4, width=5)
    _, kernels = layer(x, return_kernels=True)
    shuffled = x.copy()
    shuffled[:, :2, :2] = x[:, 1::-1, 1::-1]  # the same mean over the first step
    _, other = layer(shuffled, return_kernels=True)
    assert_near(other[:, 0, 0], kernels[:, 0, 0], 1e-4)
    # The last column is alone in its step, so its mean is over this column only.
    alone = layer.generate_kernels(np.repeat(x[:, :, 4:], 2, axis=2))
    assert_near(kernels[:, :, 2:], alone)


def test_configuration_round_trip():
    plain = {
        "kernel_size": (3, 5), "groups": 2, "strides": (2, 1), "dilation_rate": (1, 2),
        "reduction_ratio": 2, "data_format": "channels_first", "momentum": 0.8,
        "epsilon": 1e-3, "implementation": "portable",
    }  # fmt: skip
    layer = Involution2D(
        **plain, kernel_initializer="he_normal", kernel_regularizer="l2"
    )
    config = layer.get_config()
    assert {name: config[name] for name in plain} == plain
    assert config["kernel_initializer"]["class_name"] == "HeNormal"
    assert config["kernel_regularizer"]["class_name"] == "L2"
    again = Involution2D.from_config(json.loads(json.dumps(config)))
    assert json.dumps(again.get_config()) == json.dumps(config)


def test_keras_file_round_trip(tmp_path, data_format):
    shape = (None, None, 8) if data_format == "channels_last" else (8, None, None)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, Involution2D(3, 2, data_format=data_format)(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = images(data_format, channels=8)
    assert_near(again.predict(x, verbose=0), model.predict(x, verbose=0), 1e-7)


@pytest.mark.parametrize("policy", ("mixed_float16", "mixed_bfloat16", "bfloat16"))
def test_precision_policies(policy):
    layer = Involution2D(3, groups=2, dtype=policy, data_format="channels_last")
    x = images("channels_last", channels=8)
    y, kernels = layer(x, return_kernels=True)
    expected = keras.DTypePolicy(policy)
    for tensor in (y, kernels):
        assert keras.backend.standardize_dtype(tensor.dtype) == expected.compute_dtype
    assert {w.dtype for w in layer.weights} == {expected.variable_dtype}
    plain = Involution2D(3, groups=2, data_format="channels_last")
    plain.build(x.shape)
    plain.set_weights([ops.cast(w, "float32") for w in layer.get_weights()])
    assert_near(ops.cast(y, "float32"), plain(x), 0.05)


def test_it_learns():
    x = images("channels_last", channels=8)
    model = keras.Sequential([keras.Input((9, 8, 8)), Involution2D(3, groups=2)])
    model.compile(keras.optimizers.Adam(0.02), "mse")
    first, *_, last = model.fit(x, 0.5 * x, epochs=15, verbose=0).history["loss"]
    assert last < 0.5 * first


def test_batch_normalisation_learns_the_statistics():
    layer = Involution2D(3, data_format="channels_last")
    layer(images("channels_last"), training=True)
    assert np.abs(ops.convert_to_numpy(layer.reduce_norm.moving_mean)).max() > 0


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"kernel_size": 4}, r"odd.*Received: kernel_size=4"),
        ({"kernel_size": (3, 3, 3)}, r"tuple of 2.*Received: kernel_size=\(3, 3, 3\)"),
        ({"kernel_size": 0}, r"positive.*Received: kernel_size=0"),
        ({"kernel_size": 3.0}, r"positive.*Received: kernel_size=3.0"),
        ({"kernel_size": 3.5}, r"positive.*Received: kernel_size=3.5"),
        ({"groups": 0}, r"positive integer.*Received: groups=0"),
        ({"groups": "two"}, r"positive integer.*Received: groups='two'"),
        ({"strides": -1}, r"positive.*Received: strides=-1"),
        ({"dilation_rate": (1, 0)}, r"positive.*Received: dilation_rate=\(1, 0\)"),
        ({"reduction_ratio": True}, r"positive.*Received: reduction_ratio=True"),
        ({"data_format": "NCHW"}, r"channels_last.*Received: data_format='NCHW'"),
        ({"implementation": "best"}, r"portable.*Received: implementation='best'"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        Involution2D(**arguments)


def test_channels_that_the_groups_do_not_divide():
    with pytest.raises(ValueError, match=r"divisible.*Received: channels=10, groups=4"):
        Involution2D(3, groups=4, data_format="channels_last")(noise(1, 5, 5, 10))


def test_inputs_of_another_rank():
    with pytest.raises(ValueError, match="expected ndim=4, found ndim=3"):
        Involution2D(3)(noise(1, 5, 8))
