"""Our batch normalization on PyTorch computes what Keras's does."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from keras_involution.layers._batch_normalization import BatchNormalization

if keras.config.backend() != "torch":
    pytest.skip("Elsewhere it is Keras's.", allow_module_level=True)
import torch

SHAPES = {
    "channels last": ((3, 5, 4, 6), -1),
    "channels first": ((3, 6, 5, 4), 1),
    "rows": ((7, 6), -1),
    "sequences": ((2, 9, 6), 2),
}
ARGUMENTS = {"epsilon": 1e-5, "momentum": 0.8}


def tensor(*shape: int, mean: float = 0.0, spread: float = 1.0) -> torch.Tensor:
    values = np.random.default_rng(shape).normal(mean, spread, shape)
    return torch.from_numpy(values.astype("float32")).requires_grad_()


def step(layer: layers.Layer, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Outputs, all gradients, and the moving statistics after a step of training."""
    layer.build(shape)
    for variable in layer.trainable_variables:
        variable.assign(tensor(*variable.shape, mean=1.0).detach())
    x, upstream = tensor(*shape, mean=2.0, spread=3.0), tensor(*shape[::-1]).detach()
    y = layer(x, training=True)
    y.backward(upstream.reshape(shape).to(y.dtype))
    variables = {v.name: v for v in layer.trainable_variables}
    found = {"y": y.detach().float(), "dx": x.grad}
    found |= {f"d{name}": v.value.grad for name, v in variables.items()}
    found |= {v.name: v.value.detach() for v in layer.non_trainable_variables}
    return {name: value.numpy() for name, value in found.items()}


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
    offset = tensor(6, mean=1.0).detach()
    np.testing.assert_allclose(found["y"].ravel(), offset, atol=1e-3)
    np.testing.assert_allclose(found["moving_variance"], 0.99, atol=1e-6)


@pytest.mark.parametrize("names", [{"scale": False}, {"center": False}], ids=str)
def test_without_scale_or_offset(names):
    assert_same((3, 5, 4, 6), -1, **names)


def test_in_half_precision():
    """Computed in float32 from the rounded inputs, and rounded once, as in Keras."""
    assert_same((3, 5, 4, 6), -1, atol=1e-2, dtype="mixed_bfloat16")
    layer = BatchNormalization(dtype="mixed_float16")
    assert layer(tensor(2, 3, 4), training=True).dtype == torch.float16


def test_it_is_one_operation_of_pytorch():
    layer = BatchNormalization()
    layer.build((None, 6))
    with torch.profiler.profile() as profile:
        layer(tensor(7, 6), training=True)
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
        call["mask"] = torch.arange(20).reshape(4, 5) % 3 > 0
    results = []
    for layer in (ours, theirs):
        layer.build(shape)
        layer.trainable = how != "frozen"
        results.append(layer(tensor(*shape), **call).detach().numpy())
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("synchronized", [True, False])
def test_statistics_are_those_of_all_processes(synchronized, monkeypatch):
    """Two processes with the same rows: the sum over them is twice that of one."""
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
    x = tensor(5, 3, 6)
    expected = plain(x, training=True)
    torch.testing.assert_close(layer(x, training=True), expected, rtol=1e-4, atol=1e-4)
    assert len(sums) == (2 if synchronized else 0)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), plain(x), rtol=1e-4, atol=1e-4)


def test_file_round_trip(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 6)), BatchNormalization()])
    model(tensor(2, 4, 4, 6), training=True)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = tensor(2, 4, 4, 6)
    assert type(again.layers[0]) is BatchNormalization
    torch.testing.assert_close(again(x), model(x))
