"""The operators fulfill the contract of torch's own operators."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from keras_involution.ops import _reference, involution
from keras_involution.ops._implementation import named, select
from keras_involution.ops._portable import PORTABLE
from keras_involution.ops.involution import IMPLEMENTATIONS
from tests.ops.cases import Case

CASE = Case((5, 4), (3, 3), channels=4, strides=2)
NAMES = ("cpp", "native")


def tensors(case: Case, dtype: torch.dtype = torch.float32) -> tuple:
    """(inputs, kernels, upstream, geometry), the first two with gradients."""
    x, k, dy, geometry = case.tensors()
    device = torch.get_default_device()
    x, k, dy = (torch.tensor(a, dtype=dtype, device=device) for a in (x, k, dy))
    return x.requires_grad_(), k.requires_grad_(), dy, geometry


def operator(name: str, case: Case):
    def call(inputs, kernels):
        return involution(
            inputs,
            kernels,
            case.strides,
            case.dilation_rate,
            case.data_format,
            implementation=name,
        )

    return call


@pytest.fixture(params=NAMES)
def name(request):
    x, k, _, geometry = tensors(CASE)
    implementation = named(IMPLEMENTATIONS, request.param)
    reason = implementation.unsupported_reason(x, k, geometry)
    if reason is not None:
        pytest.skip(reason)
    return request.param


@pytest.mark.parametrize("data_format", ("channels_last", "channels_first"))
def test_one_and_three_dimensions(name, data_format):
    for sizes, window in (((9,), (5,)), ((4, 5, 3), (3, 1, 3))):
        case = Case(sizes, window, strides=2, data_format=data_format)
        x, k, dy, geometry = tensors(case)
        y = operator(name, case)(x, k)
        y.backward(dy)
        arrays = [t.detach().cpu().numpy() for t in (x, k, dy)]
        dx, dk = _reference.gradients(*arrays, geometry)
        expected = (_reference.involution(*arrays[:2], geometry), dx, dk)
        for result, wanted in zip((y, x.grad, k.grad), expected):
            np.testing.assert_allclose(result.detach().cpu(), wanted, atol=1e-5)


@pytest.mark.parametrize("data_format", ("channels_last", "channels_first"))
def test_first_and_second_derivatives_in_float64(name, data_format):
    case = Case((3, 2), (3, 3), groups=1, channels=2, batch=1, strides=2)
    case = replace(case, data_format=data_format)
    x, k, _, geometry = tensors(case, torch.float64)
    run = named(IMPLEMENTATIONS, name).run  # Keras itself casts float64 inputs.

    def call(inputs, kernels):
        return run(inputs, kernels, geometry)

    assert torch.autograd.gradcheck(call, (x, k))
    assert torch.autograd.gradgradcheck(call, (x, k), fast_mode=True)


def test_registrations_agree_with_the_operator(name):
    x, k, dy, geometry = tensors(CASE)
    package = torch.ops.keras_involution
    layout = (geometry.strides, geometry.dilation_rate, geometry.data_format)
    torch.library.opcheck(getattr(package, name).default, (x, k, *layout))
    torch.library.opcheck(
        getattr(package, f"{name}_gradients").default, (x, k, *layout, dy)
    )


@pytest.mark.parametrize("dynamic", (False, True))
def test_compile_in_one_graph(name, dynamic):
    torch.compiler.reset()
    call = operator(name, CASE)
    compiled = torch.compile(call, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for batch in (2, 3):
        x, k, dy, _ = tensors(replace(CASE, batch=batch))
        y = compiled(x, k)
        torch.testing.assert_close(y, call(x, k))
        got = torch.autograd.grad(y, (x, k), dy)
        expected = torch.autograd.grad(call(x, k), (x, k), dy)
        torch.testing.assert_close(got, expected)


def test_compile_chooses_the_same_implementation():
    torch.compiler.reset()
    x, k, _, geometry = tensors(CASE)
    chosen = select(IMPLEMENTATIONS, None, x, k, geometry).name
    graphs = []

    def keep(graph, _):
        graphs.append(graph)
        return graph

    torch.compile(operator(None, CASE), fullgraph=True, backend=keep)(x, k)
    assert f"keras_involution.{chosen}" in graphs[0].code


def test_export(name):
    x, k, _, _ = tensors(CASE)
    call = operator(name, CASE)

    class Module(torch.nn.Module):
        def forward(self, inputs, kernels):
            return call(inputs, kernels)

    batch = torch.export.Dim("batch", min=2)
    x, k = x.detach(), k.detach()
    program = torch.export.export(
        Module(), (x, k), dynamic_shapes=({0: batch}, {0: batch})
    )
    more = torch.cat([x, x + 1]), torch.cat([k, k])
    torch.testing.assert_close(program.module()(*more), call(*more))
    # The process that loads the program may not have this package.
    assert "keras_involution" not in program.graph_module.code


def test_autocast(name):
    x, k, dy, _ = tensors(CASE)
    weight = torch.eye(4, device=x.device, requires_grad=True)
    with torch.autocast(x.device.type, torch.bfloat16):
        narrow = x @ weight
        y = operator(name, CASE)(narrow, k.to(narrow.dtype))
    assert y.dtype == torch.bfloat16
    y.backward(dy.to(y.dtype))
    assert {x.grad.dtype, k.grad.dtype, weight.grad.dtype} == {torch.float32}
    exact = torch.autograd.grad(operator(name, CASE)(x, k), k, dy)[0]
    torch.testing.assert_close(k.grad, exact, atol=0.05, rtol=0.05)


def test_vmap_and_batched_gradients(name):
    x, k, dy, _ = tensors(CASE)
    call = operator(name, CASE)
    more_x, more_k = torch.stack([x, 2 * x, -x]), torch.stack([k, k + 1, 3 * k], 2)
    separate = torch.stack([call(a, b) for a, b in zip(more_x, more_k.unbind(2))])
    torch.testing.assert_close(torch.vmap(call, (0, 2))(more_x, more_k), separate)
    y, upstreams = call(x, k), torch.stack([dy, 2 * dy, dy.square()])
    batched = torch.autograd.grad(
        y, (x, k), upstreams, is_grads_batched=True, retain_graph=True
    )
    for index, upstream in enumerate(upstreams):
        expected = torch.autograd.grad(y, (x, k), upstream, retain_graph=True)
        torch.testing.assert_close(tuple(g[index] for g in batched), expected)


def test_meta_device(name):
    x, k, dy, geometry = (
        t.to("meta") if torch.is_tensor(t) else t for t in tensors(CASE)
    )
    layout = (geometry.strides, geometry.dilation_rate, geometry.data_format)
    y = getattr(torch.ops.keras_involution, name)(x, k, *layout)
    assert y.shape == dy.shape
    assert y.is_meta
    assert operator(None, CASE)(x, k).shape == dy.shape


def test_views_and_expanded_gradients(name):
    x, k, _, _ = tensors(CASE)
    call = operator(name, CASE)
    wide = torch.cat([x, x], -1)[..., :4]
    flipped = k.detach().movedim(3, -1).contiguous().movedim(-1, 3).requires_grad_()
    transposed = k.detach().transpose(4, 5).contiguous().transpose(4, 5)
    torch.testing.assert_close(call(wide, flipped), call(x, k))
    torch.testing.assert_close(call(x, transposed), call(x, k))
    got = torch.autograd.grad(call(wide, flipped).sum(), (x, flipped))
    torch.testing.assert_close(got, torch.autograd.grad(call(x, k).sum(), (x, k)))


def test_empty_batch(name):
    x, k, _, _ = tensors(replace(CASE, batch=0))
    y = operator(name, CASE)(x, k)
    y.sum().backward()
    assert y.shape == CASE.output_shape()[:0] + (0, 3, 2, 4)
    assert x.grad.shape == x.shape


def test_results_repeat_to_the_bit(name):
    x, k, dy, _ = tensors(Case((9, 8), (5, 5), channels=32, batch=4))
    call = operator(name, Case((9, 8), (5, 5)))
    first, *others = (torch.autograd.grad(call(x, k), (x, k), dy) for _ in range(4))
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other))


def test_portable_is_the_last_resort():
    assert IMPLEMENTATIONS[-1] is PORTABLE


@pytest.mark.skipif(torch.cuda.is_available(), reason="Triton may have run already.")
def test_triton_is_not_imported_before_use():
    assert "keras_involution.ops.torch._triton_programs" not in sys.modules


def test_flops_are_counted():
    from torch.utils.flop_counter import FlopCounterMode

    case = Case((6, 5), (3, 3), strides=2)
    x, k, _, _ = tensors(case)
    one = 2 * 9 * math.prod(case.output_shape())
    for name in ("cpp", "native"):
        with FlopCounterMode(display=False) as counter:
            y = involution(x, k, 2, data_format="channels_last", implementation=name)
        assert counter.get_total_flops() == one
        with FlopCounterMode(display=False) as counter:
            y.sum().backward()
        assert counter.get_total_flops() == 2 * one
