"""Involution that computes its kernels on the fly: its values and its memory."""

from __future__ import annotations

import math
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_involution.ops import _reference, fused_involution, involution
from keras_involution.ops._cpp import loading
from tests.gradients import value_and_gradients
from tests.marks import one_backend, torch_first
from tests.ops.cases import Case, tolerance

FEATURES = 5
FUSED = sys.modules["keras_involution.ops.fused_involution"]  # the function hides it
TESTED = {"implementation": "cpp"}
CASES = [
    Case((9,), (5,), strides=2, channels=6, batch=3),
    Case((7, 9), (3, 3)),
    Case((7, 9), (3, 3), data_format="channels_first"),
    Case((8, 7), (5, 3), strides=(2, 1), dilation_rate=(1, 2), batch=4),
    Case((10, 11), (3, 3), strides=3, dilation_rate=2, data_format="channels_first"),
    Case((8, 8), (7, 7), groups=1, channels=16, batch=1),
    Case((3, 4, 5), (3, 1, 3), groups=4),
    Case((3, 4, 5), (3, 3, 1), strides=2, data_format="channels_first"),
]


def tensors(case: Case, dtype: str = "float32", features: int = FEATURES):
    """(inputs, features, matrix, bias, upstream, geometry), rounded to the dtype."""
    x, _, dy, geometry = case.tensors(dtype)
    rng = np.random.default_rng(1)
    taps = case.groups * math.prod(case.window)
    shape = case._layout((case.batch,), case._output_sizes(), (features,))
    others = (
        rng.normal(size=shape),
        rng.normal(size=(features, taps)) / features**0.5,
        rng.normal(size=taps),
    )
    rounded = (
        ops.convert_to_numpy(ops.cast(ops.cast(a.astype(x.dtype), dtype), x.dtype))
        for a in others
    )
    return x, *rounded, dy, geometry


def call(case: Case, implementation: str | None = None):
    return lambda x, f, matrix, bias: fused_involution(
        x,
        f,
        matrix,
        bias,
        case.window,
        case.groups,
        case.strides,
        case.dilation_rate,
        case.data_format,
        implementation or TESTED["implementation"],
    )


def assert_close(result, expected, dtype: str, terms: int) -> None:
    assert keras.backend.standardize_dtype(result.dtype) == dtype
    result = ops.convert_to_numpy(result).astype("float64")
    assert result.shape == expected.shape
    error = np.linalg.norm(result - expected) / np.linalg.norm(expected)
    assert error <= tolerance(dtype, terms)


def assert_definition(case: Case, dtype: str, features: int = FEATURES) -> None:
    *arrays, dy, geometry = tensors(case, dtype, features)
    given = [ops.convert_to_tensor(a, dtype=dtype) for a in (*arrays, dy)]
    results = value_and_gradients(call(case), *given)
    expected = (
        _reference.fused(*arrays, geometry),
        *_reference.fused_gradients(*arrays, dy, geometry),
    )
    taps, positions = math.prod(case.window), math.prod(case._output_sizes())
    # The nested sums that each result consists of.
    made = features + 1
    terms = (
        taps + made,
        taps + made,
        taps * case.groups + geometry.group_channels,
        case.batch * positions + geometry.group_channels,
        case.batch * positions + geometry.group_channels,
    )
    for result, wanted, number in zip(results, expected, terms, strict=True):
        assert_close(result, wanted, dtype, number)


@pytest.fixture(
    params=(("cpp", 1), ("native", 1), ("native", 1 << 22)),
    ids=("cpp", "image by image", "at once"),
)
def way(request, monkeypatch):
    name, size = request.param
    if name == "cpp" and loading.reason() is not None:
        pytest.skip(loading.reason())
    monkeypatch.setitem(TESTED, "implementation", name)
    monkeypatch.setattr(FUSED, "PIECE_BYTES", size)


@torch_first
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_definition(case, way):
    assert_definition(case, "float32")


@pytest.mark.parametrize("dtype", ("float16", "bfloat16"))
def test_half_precision(dtype, way):
    assert_definition(CASES[3], dtype)


DIVIDED = {
    # The kernels of a row of several groups do not fit into the cache.
    "long rows": (Case((3000,), (31,), groups=3, channels=6, batch=1), 3),
    "several bands": (Case((40, 40), (7, 7), groups=2, channels=32, batch=3), 33),
    "small images": (
        Case((13, 9), (7, 7), groups=4, channels=64, batch=5, strides=2),
        20,
    ),
}


def assert_divided(case: Case, features: int) -> None:
    """The results are right, and equal when they are computed again."""
    assert_definition(case, "float32", features)
    assert_definition(case, "float64", features)
    *arrays, dy, _ = tensors(case, "float32", features)
    given = [ops.convert_to_tensor(a) for a in (*arrays, dy)]
    once, again = (value_and_gradients(call(case), *given) for _ in range(2))
    for first, second in zip(once, again, strict=True):
        np.testing.assert_array_equal(*map(ops.convert_to_numpy, (first, second)))


@one_backend
@pytest.mark.parametrize("threads", (1, 2, 3, 11))
@pytest.mark.parametrize("name", DIVIDED)
def test_the_division_of_work(name, threads):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert_divided(*DIVIDED[name])
    finally:
        torch.set_num_threads(before)


def test_no_images(way):
    case = Case((4, 5), (3, 3), batch=0)
    *arrays, dy, _ = tensors(case)
    given = [ops.convert_to_tensor(a, "float32") for a in (*arrays, dy)]
    y, *gradients = value_and_gradients(call(case), *given)
    assert tuple(y.shape) == case.output_shape()
    for gradient, array in zip(gradients, arrays, strict=True):
        assert not ops.convert_to_numpy(gradient).any()
        assert tuple(gradient.shape) == array.shape


def test_the_reference_is_the_slope():
    """The gradients of the definition equal finite differences of its outputs."""
    case = CASES[4]
    *arrays, dy, geometry = tensors(case)
    rng = np.random.default_rng(2)
    for place, gradient in enumerate(_reference.fused_gradients(*arrays, dy, geometry)):
        step = rng.normal(size=gradient.shape)
        moved = [a + step if i == place else a for i, a in enumerate(arrays)]
        change = _reference.fused(*moved, geometry) - _reference.fused(
            *arrays, geometry
        )
        # The function is linear in each of the four arguments.
        assert np.isclose((change * dy).sum(), (gradient * step).sum(), rtol=1e-9)


def test_pieces_are_those_of_the_batch():
    case = Case((4, 4), (3, 3), batch=6)
    one = 4 * 16 * 2 * 9
    features = np.zeros((6, 4, 4, FEATURES))
    found = []
    for fit in (0, 1, 2, 4, 5, 6, 100):
        FUSED.PIECE_BYTES = fit * one
        found.append(FUSED._images(features, case.geometry()))
    assert found == [1, 1, 2, 3, 3, 6, 6]
    open_size = keras.KerasTensor((None, 4, 4, FEATURES))
    assert FUSED._images(open_size, case.geometry()) == 1


def test_nan_and_infinity_stay_where_they_are(way):
    case = CASES[1]
    x, f, matrix, bias, _, _ = tensors(case)
    x[1, 0, 0, 0], f[0, 6, 8, 0] = np.inf, np.nan
    y = ops.convert_to_numpy(
        call(case)(*map(ops.convert_to_tensor, (x, f, matrix, bias)))
    )
    finite = np.isfinite(y)
    assert not finite[0, 6, 8].any() and not finite[1, 0, 0, 0]
    assert finite[0, :6].all() and finite[0, 6, :8].all()
    assert finite[1, 2:].all() and finite[1, :, :, 4:].all()


def test_the_kernels_of_the_batch_are_never_made(way):
    if FUSED.PIECE_BYTES > 1:
        pytest.skip("Here a piece is the whole batch.")
    case = Case((12, 12), (7, 7), channels=8, groups=8, batch=12)
    *arrays, dy, _ = tensors(case)
    kernels = math.prod(case.kernels_shape())
    assert largest(call(case), *arrays, dy) < kernels / 4
    # The check detects the version that stores all kernels.
    assert largest(at_once(case), *arrays, dy) >= kernels


def at_once(case):
    def run(x, f, matrix, bias):
        kernels = ops.reshape(ops.matmul(f, matrix) + bias, case.kernels_shape())
        return involution(x, kernels, data_format="channels_last")

    return run


def largest(function, *arrays) -> int:
    """Size of the largest array in the program of values and gradients."""
    arrays = [a.astype("float32") for a in arrays]
    return _LARGEST[keras.config.backend()](function, arrays)


def _largest_torch(function, arrays) -> int:
    import torch

    from tests.ops.test_memory_torch import LargestTensor

    *leaves, dy = map(torch.tensor, arrays)
    with LargestTensor() as watch:
        value = function(*(leaf.requires_grad_() for leaf in leaves))
        value.backward(dy)
    return watch.bytes // 4


def _largest_jax(function, arrays) -> int:
    import re

    import jax

    def run(*tensors):
        value, pull_back = jax.vjp(function, *tensors[:-1])
        return value, pull_back(tensors[-1])

    text = jax.jit(run).lower(*arrays).compile().as_text()
    shapes = re.findall(r"\bf32\[([\d,]+)\]", text)
    return max(math.prod(map(int, shape.split(","))) for shape in shapes)


def _largest_tensorflow(function, arrays) -> int:
    import tensorflow as tf

    @tf.function(autograph=False)
    def run(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors[:-1])
            value = function(*tensors[:-1])
        return value, *tape.gradient(value, tensors[:-1], output_gradients=tensors[-1])

    graph = run.get_concrete_function(*map(tf.constant, arrays)).graph
    program = graph.as_graph_def(add_shapes=True)
    bodies = [program.node, *(body.node_def for body in program.library.function)]
    sizes = [0]
    for node in (node for body in bodies for node in body):
        for shape in node.attr["_output_shapes"].list.shape:
            sizes.append(math.prod(side.size for side in shape.dim))
    return max(sizes)


_LARGEST = {
    "torch": _largest_torch,
    "jax": _largest_jax,
    "tensorflow": _largest_tensorflow,
}


def test_a_functional_model_and_errors(way):
    case = CASES[2]
    *arrays, _, _ = tensors(case)
    symbols = [keras.Input(batch_shape=a.shape) for a in arrays]
    model = keras.Model(symbols, call(case)(*symbols))
    assert model.output_shape == case.output_shape()
    np.testing.assert_allclose(
        ops.convert_to_numpy(
            FUSED.FusedInvolutionOperation(
                case.window, case.groups, data_format=case.data_format, **TESTED
            )(*map(ops.convert_to_tensor, arrays))
        ),
        ops.convert_to_numpy(call(case)(*arrays)),
    )
    x, f, matrix, bias = arrays
    for wrong in (
        (x, f, matrix.T, bias),
        (x, f, matrix, bias[1:]),
        (x, f[0], matrix, bias),
    ):
        with pytest.raises(ValueError, match=r"`features` must have as.*Received: inp"):
            call(case)(*wrong)
    with pytest.raises(ValueError, match=r"must have the shape.*Received"):
        call(case)(x, f[:, :, 1:], matrix, bias)
    with pytest.raises(ValueError, match=r"must be real.*Received: inputs_dtype"):
        call(case)(x.astype("complex64"), f, matrix, bias)
    with pytest.raises(ValueError, match=r"`implementation` must be.*Received"):
        call(case, "fast")(*arrays)


@one_backend
def test_gradients_of_gradients(way):
    import torch

    case = CASES[3]
    *arrays, _, _ = tensors(case, "float64")
    leaves = [torch.tensor(a[:2] if a.ndim > 2 else a) for a in arrays]
    leaves = [leaf.double().requires_grad_() for leaf in leaves]
    assert torch.autograd.gradgradcheck(call(case), leaves, fast_mode=True)


@one_backend
def test_flops_are_counted():
    from torch.utils.flop_counter import FlopCounterMode

    case = CASES[3]
    *arrays, _, _ = tensors(case)
    leaves = [ops.convert_to_tensor(a).requires_grad_() for a in arrays]
    positions = case.batch * math.prod(case._output_sizes())
    product = 2 * positions * FEATURES * case.groups * math.prod(case.window)
    applied = 2 * positions * case.channels * math.prod(case.window)
    with FlopCounterMode(display=False) as counter:
        y = call(case)(*leaves)
    assert counter.get_total_flops() == product + applied
    with FlopCounterMode(display=False) as counter:
        y.sum().backward()
    # Without stored kernels, they are computed again.
    assert counter.get_total_flops() == 3 * product + 2 * applied
