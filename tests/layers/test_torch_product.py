"""Products and convolutions of oneDNN equal those of PyTorch."""

from __future__ import annotations

import itertools

import keras
import pytest

if keras.config.backend() != "torch":
    pytest.skip("Of PyTorch.", allow_module_level=True)
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from keras_involution.layers._torch_product import product
from keras_involution.ops.torch import _onednn, _private

if not _onednn.runs(torch.ones(1)):
    pytest.skip("This build of PyTorch has no oneDNN.", allow_module_level=True)
SHAPES = ((2, 7, 5, 6), (3, 40), (1, 70, 70, 3), (2, 1, 9))


def tensors(shape: tuple, filters: int = 5, bias: bool = True) -> list[torch.Tensor]:
    torch.manual_seed(sum(shape))
    sizes = [shape, (shape[-1], filters), (filters,)][: 2 + bias]
    return [torch.randn(size, requires_grad=True) for size in sizes]


def exact(values: list[torch.Tensor]) -> list[torch.Tensor]:
    return [value.detach().double().requires_grad_() for value in values]


def expected(x, matrix, bias=None, relu=False):
    y = x @ matrix if bias is None else x @ matrix + bias
    return y.relu() if relu else y


def assert_close(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("fast_in_mkl", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_and_gradients(shape, bias, fast_in_mkl, monkeypatch):
    monkeypatch.setattr(_onednn, "_is_fast_in_mkl", lambda: fast_in_mkl)
    ours, exacts = (t := tensors(shape, bias=bias)), exact(t)
    for relu in (False, True):
        y, wanted = product(*ours, relu=relu), expected(*exacts, relu=relu)
        assert_close([y], [wanted])
        with torch.no_grad():
            assert_close([product(*ours, relu=relu)], [wanted])
        upstream = torch.randn(y.shape)
        found = torch.autograd.grad(y, ours, upstream)
        assert_close(found, torch.autograd.grad(wanted, exacts, upstream.double()))


def test_second_derivatives():
    ours, exacts = (t := tensors((2, 3, 4))), exact(t)
    for function, values in ((product, ours), (expected, exacts)):
        y = function(*values).sin().sum()
        first = torch.autograd.grad(y, values, create_graph=True)
        total = sum((gradient**2).sum() for gradient in first)
        values.append(torch.autograd.grad(total, values))
    assert_close(ours.pop(), exacts.pop())


def test_only_wanted_gradients():
    x, matrix, _ = tensors((3, 4))
    product(x.detach(), matrix).sum().backward()
    assert x.grad is None and matrix.grad is not None


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("has_shortcut", [True, False])
@pytest.mark.parametrize(
    ("side", "window", "strides"),
    list(itertools.product((3, 20), (1, 3), (1, 2))),
)
def test_convolutions(side, window, strides, has_shortcut, relu):
    torch.manual_seed(0)
    x, kernel = torch.randn(2, side, side, 8), torch.randn(window, window, 8, 40)
    weights, bias = kernel.permute(3, 2, 0, 1), torch.randn(40)
    planes = x.permute(0, 3, 1, 2).double()
    sizes = weights.double(), bias.double(), strides, window // 2
    wanted = functional.conv2d(planes, *sizes).permute(0, 2, 3, 1)
    shortcut = torch.randn(wanted.shape) if has_shortcut else None
    wanted = wanted if shortcut is None else wanted + shortcut.double()
    ours = (strides,) * 2, window // 2, shortcut, relu
    y = _onednn.convolved(x, kernel, bias, *ours)
    assert_close([y], [wanted.relu() if relu else wanted])


def test_where_it_does_not_run(monkeypatch):
    x = torch.ones(2, 3)
    assert _onednn.runs(x)
    with monkeypatch.context() as patch:
        patch.setattr(torch.backends.mkldnn, "enabled", False)
        assert not _onednn.runs(x)
    with torch.autocast("cpu"):
        assert not _onednn.runs(x)
    assert not torch.vmap(lambda row: row * _onednn.runs(row))(x).any()
    for other in (x.double(), x.T, x[:0]):
        assert not _onednn.runs(other)


def test_flops_are_counted():
    x, matrix, bias = tensors((2, 6, 6, 4))
    with FlopCounterMode(display=False) as counter:
        y = product(x, matrix, bias)
    assert counter.get_total_flops() == 2 * x.numel() * 5
    with FlopCounterMode(display=False) as counter:
        y.sum().backward()
    assert counter.get_total_flops() == 2 * 2 * x.numel() * 5
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        kernel = torch.randn(3, 3, 4, 5)
        for shortcut in (None, torch.zeros(2, 6, 6, 5)):
            _onednn.convolved(x, kernel, bias, (1, 1), 1, shortcut, True)
    assert counter.get_total_flops() == 2 * 2 * y.numel() * 9 * 4


def test_a_build_without_the_operations(monkeypatch):
    monkeypatch.setattr(_onednn, "_is_available", lambda: False)
    values = tensors((2, 3, 4))
    assert_close([product(*values, relu=True)], [expected(*exact(values), relu=True)])


def test_the_private_operations_exist():
    assert _private.has_onednn()
