"""Our batch normalization on PyTorch and TensorFlow equals that of Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from keras_involution.layers._batch_normalization import BatchNormalization

BACKEND = keras.config.backend()
if BACKEND == "jax":
    pytest.skip("On JAX it is Keras's.", allow_module_level=True)
if BACKEND == "torch":
    import torch
else:
    import tensorflow as tf

torch_only = pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch")
tensorflow_only = pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
SHAPES = {
    "channels last": ((3, 5, 4, 6), -1),
    "channels first": ((3, 6, 5, 4), 1),
    "rows": ((7, 6), -1),
    "sequences": ((2, 9, 6), 2),
}
ARGUMENTS = {"epsilon": 1e-5, "momentum": 0.8}


def array(*shape: int, mean: float = 0.0, spread: float = 1.0) -> np.ndarray:
    values = np.random.default_rng(shape).normal(mean, spread, shape)
    return values.astype("float32")


def step(layer: layers.Layer, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Outputs, all gradients, and the moving statistics after a step of training."""
    layer.build(shape)
    for variable in layer.trainable_variables:
        variable.assign(array(*variable.shape, mean=1.0))
    x, upstream = array(*shape, mean=2.0, spread=3.0), array(*shape[::-1])
    run = torch_step if BACKEND == "torch" else tensorflow_step
    y, dx, gradients = run(layer, x, upstream.reshape(shape))
    found = {"y": y, "dx": dx}
    names = [v.name for v in layer.trainable_variables]
    found |= {f"d{name}": value for name, value in zip(names, gradients)}
    found |= {v.name: v.value for v in layer.non_trainable_variables}
    return {k: keras.ops.convert_to_numpy(v) for k, v in found.items()}


def torch_step(layer, x, upstream):
    x = torch.tensor(x, requires_grad=True)
    y = layer(x, training=True)
    y.backward(torch.tensor(upstream).to(y.dtype))
    return y.float(), x.grad, [v.value.grad for v in layer.trainable_variables]


def tensorflow_step(layer, x, upstream):
    with tf.GradientTape() as tape:
        x = tf.constant(x)
        tape.watch(x)
        y = layer(x, training=True)
    variables = [v.value for v in layer.trainable_variables]
    dx, *gradients = tape.gradient(y, [x, *variables], tf.cast(upstream, y.dtype))
    return tf.cast(y, "float32"), dx, gradients


def assert_same(shape, axis, atol: float = 2e-5, **arguments) -> None:
    arguments = {"axis": axis, **ARGUMENTS, **arguments}
    expected = step(layers.BatchNormalization(**arguments), shape)
    found = step(BatchNormalization(**arguments), shape)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, 1e-5, atol, err_msg=name)


@pytest.mark.parametrize("name", SHAPES)
def test_equals_that_of_keras(name):
    assert_same(*SHAPES[name])


def test_one_value_a_channel_leaves_the_offset():
    found = step(BatchNormalization(epsilon=1e-5), (1, 1, 1, 6))
    offset = array(6, mean=1.0)
    np.testing.assert_allclose(found["y"].ravel(), offset, atol=1e-3)
    np.testing.assert_allclose(found["moving_variance"], 0.99, atol=1e-6)


@pytest.mark.parametrize(
    "arguments", [{"scale": False}, {"center": False}, {"epsilon": 0.5}], ids=str
)
def test_other_arguments(arguments):
    assert_same((3, 5, 4, 6), -1, **arguments)


def test_in_half_precision():
    """Computes in float32 from the rounded inputs and rounds once, as in Keras."""
    assert_same((3, 5, 4, 6), -1, atol=1e-2, dtype="mixed_bfloat16")
    layer = BatchNormalization(dtype="mixed_float16")
    y = layer(array(2, 3, 4), training=True)
    assert keras.backend.standardize_dtype(y.dtype) == "float16"


@tensorflow_only
@pytest.mark.parametrize("jit_compile", (False, True))
def test_in_a_function_with_an_open_batch(jit_compile):
    layer, shape = BatchNormalization(**ARGUMENTS), (3, 5, 4, 6)
    plain = layers.BatchNormalization(**ARGUMENTS)
    signature = [tf.TensorSpec((None, *shape[1:]))]

    @tf.function(input_signature=signature, jit_compile=jit_compile)
    def run(x):
        return layer(x, training=True)

    expected = plain(array(*shape), training=True)
    np.testing.assert_allclose(run(array(*shape)), expected, 1e-5, 2e-5)
    for ours, theirs in zip(
        layer.non_trainable_variables, plain.non_trainable_variables
    ):
        np.testing.assert_allclose(ours.value, theirs.value, 1e-5)
    kinds = {op.type for op in run.get_concrete_function().graph.get_operations()}
    assert "FusedBatchNormV3" in kinds


@torch_only
def test_it_is_one_operation_of_pytorch():
    layer = BatchNormalization(axis=1)  # Channels last may use the C++ library.
    layer.build((None, 6, 3))
    with torch.profiler.profile() as profile:
        layer(array(7, 6, 3), training=True)
    names = {event.key for event in profile.key_averages()}
    assert "aten::native_batch_norm" in names


@pytest.mark.parametrize("how", ["evaluation", "frozen", "mask", "renorm"])
def test_what_is_left_to_keras(how):
    shape = (4, 5, 6)
    arguments = {"renorm": how == "renorm"}
    ours, theirs = (
        BatchNormalization(**arguments),
        layers.BatchNormalization(**arguments),
    )
    call = {"training": how != "evaluation"}
    if how == "mask":
        call["mask"] = np.arange(20).reshape(4, 5) % 3 > 0
    results = []
    for layer in (ours, theirs):
        layer.build(shape)
        layer.trainable = how != "frozen"
        results.append(keras.ops.convert_to_numpy(layer(array(*shape), **call)))
    np.testing.assert_array_equal(*results)


@torch_only
@pytest.mark.parametrize("synchronized", [True, False])
def test_statistics_are_those_of_all_processes(synchronized, monkeypatch):
    """With the same rows in two processes, the sum is twice that of one."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    sums = []

    def all_reduce(own):
        sums.append(own.mul_(2))

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    layer = BatchNormalization(synchronized=synchronized)
    assert BatchNormalization.from_config(layer.get_config()).get_config() == (
        layer.get_config()
    )
    plain = layers.BatchNormalization()
    x = torch.tensor(array(5, 3, 6))
    expected = plain(x, training=True)
    torch.testing.assert_close(layer(x, training=True), expected, rtol=1e-4, atol=1e-4)
    assert len(sums) == (2 if synchronized else 0)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), plain(x), rtol=1e-4, atol=1e-4)


def test_file_round_trip(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 6)), BatchNormalization()])
    model(array(2, 4, 4, 6), training=True)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = array(2, 4, 4, 6)
    assert type(again.layers[0]) is BatchNormalization
    answers = map(keras.ops.convert_to_numpy, (again(x), model(x)))
    np.testing.assert_array_equal(*answers)
