"""Batch normalization with sum and ReLU in C++ equals its definition."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

if keras.config.backend() != "torch":
    pytest.skip("Of PyTorch.", allow_module_level=True)
import torch

from keras_involution.layers import _torch_normalization as normalization
from keras_involution.ops._cpp import loading

if loading.reason() is not None:
    pytest.skip(str(loading.reason()), allow_module_level=True)

EPSILON = 1e-3
NAMES = ("x", "scale", "offset", "shortcut")


def arrays(*shape: int, mean: float = 0.5, spread: float = 2.0) -> dict:
    random = np.random.default_rng(shape)
    channels = shape[-1]
    return {
        "x": random.normal(mean, spread, shape),
        "scale": random.normal(1, 0.3, channels),
        "offset": random.normal(0, 0.3, channels),
        "shortcut": random.normal(size=shape),
        "upstream": random.normal(size=shape),
    }


def definition(x, scale, offset, shortcut, relu):
    """The definition in float64, differentiated by PyTorch."""
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes, unbiased=False)
    y = (x - mean) / torch.sqrt(variance + EPSILON)
    y = y if scale is None else y * scale
    y = y if offset is None else y + offset
    y = y if shortcut is None else y + shortcut
    return y.relu() if relu else y, mean, variance


def ours(x, scale, offset, shortcut, relu):
    arguments = (x, -1, scale, offset, EPSILON, shortcut, relu)
    return normalization.normalized(*arguments)


def step(function, values: dict, dtype, without=(), relu=False) -> dict:
    tensors = {
        name: None
        if name in without
        else torch.tensor(values[name], dtype=dtype, requires_grad=True)
        for name in NAMES
    }
    y, mean, variance = function(**tensors, relu=relu)
    y.backward(torch.tensor(values["upstream"], dtype=dtype))
    found = {"y": y, "mean": mean, "variance": variance}
    found |= {f"d{k}": t.grad for k, t in tensors.items() if t is not None}
    return {name: value.detach().numpy() for name, value in found.items()}


def assert_equal(found: dict, expected: dict, tolerance: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == "float32"
        scale = max(np.abs(value).max(), 1e-3)
        error = np.abs(found[name] - value).max() / scale
        assert error < tolerance, (name, error)


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """Records the calls of the library; a test must not fall back to PyTorch."""
    made, call = [], normalization._call

    def noted(name, *rest):
        made.append(name)
        call(name, *rest)

    monkeypatch.setattr(normalization, "_call", noted)
    return made


@pytest.mark.parametrize("without", [(), ("shortcut",), ("scale", "offset")], ids=str)
@pytest.mark.parametrize("relu", (False, True))
@pytest.mark.parametrize(
    "shape", [(2, 5, 4, 6), (1, 1, 3), (5000, 16), (40, 9, 37), (3, 7, 7, 2048)]
)
def test_equals_the_definition(shape, relu, without, calls):
    values = arrays(*shape)
    found = step(ours, values, torch.float32, without, relu)
    expected = step(definition, values, torch.float64, without, relu)
    assert_equal(found, expected)
    assert calls == ["normalized", "normalized_gradients"]


def test_a_mean_far_from_zero():
    values = arrays(3000, 24, mean=1e4, spread=1.0)
    values["x"] = values["x"].astype("float32").astype("float64")
    values["x"][0] = 0  # The first row differs from the others.
    found = step(ours, values, torch.float32)
    expected = step(definition, values, torch.float64)
    np.testing.assert_allclose(found["variance"], expected["variance"], rtol=1e-5)
    np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-6)


def test_results_do_not_depend_on_the_threads():
    values, before = arrays(9000, 40), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(step(ours, values, torch.float32, relu=True))
    finally:
        torch.set_num_threads(before)
    for name, other in itertools.product(found[0], found[1:]):
        np.testing.assert_array_equal(found[0][name], other[name], err_msg=name)


@pytest.mark.parametrize("without", [(), ("scale", "shortcut")], ids=str)
def test_derivatives_of_the_gradients(without):
    values, found = arrays(4, 3, 6), []
    for function, dtype in ((ours, torch.float32), (definition, torch.float64)):
        tensors = {
            name: None
            if name in without
            else torch.tensor(values[name], dtype=dtype, requires_grad=True)
            for name in NAMES
        }
        upstream = torch.tensor(values["upstream"], dtype=dtype, requires_grad=True)
        used = [t for t in tensors.values() if t is not None]
        y, _, _ = function(**tensors, relu=True)
        first = torch.autograd.grad(y, used, upstream, create_graph=True)
        total = sum((gradient**2).sum() for gradient in first)
        second = torch.autograd.grad(total, [*used, upstream], allow_unused=True)
        found.append([None if g is None else g.numpy() for g in second])
    for mine, theirs in zip(*found):
        if theirs is None or not theirs.any():
            assert mine is None or not mine.any()
        else:
            np.testing.assert_allclose(mine, theirs, 1e-4, 1e-4 * np.abs(theirs).max())


def test_only_what_is_wanted():
    values = arrays(7, 5)
    x, shortcut = torch.tensor(np.array([values["x"], values["shortcut"]])).float()
    scale = torch.ones(5, requires_grad=True)
    y, _, _ = ours(x, scale, None, shortcut, True)
    y.sum().backward()
    assert scale.grad is not None and x.grad is None and shortcut.grad is None


def test_nan_and_infinity_stay():
    x = torch.tensor(arrays(6, 4)["x"], dtype=torch.float32)
    x[2, 1], x[3, 2] = float("nan"), float("inf")
    y, _, variance = ours(x, None, None, None, True)
    assert y[:, 1:3].isnan().all() and not y[:, 0::3].isnan().any()
    assert variance[1:3].isnan().all()


@pytest.mark.parametrize("kind", ("float64", "strided", "first", "compiled"))
def test_all_else_is_left_to_pytorch(kind, calls, monkeypatch):
    x, axis = torch.tensor(arrays(6, 8)["x"], dtype=torch.float32), -1
    if kind == "float64":
        x = x.double()
    elif kind == "strided":
        x = x[:, ::2]
    elif kind == "first":
        axis = 0
    else:
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    y, mean, variance = normalization.normalized(x, axis, None, None, EPSILON)
    assert calls == [] and y.shape == x.shape and len(mean) == len(variance)
    assert abs(float(y.mean())) < 1e-5
