"""The operator under the function transformations of the frameworks."""

from __future__ import annotations

import contextlib
import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_involution.ops import _reference, available_implementations, involution
from keras_involution.ops._implementation import named
from keras_involution.ops.involution import IMPLEMENTATIONS
from tests.gradients import value_and_gradients
from tests.ops.cases import Case

backend = keras.config.backend()
only_jax = pytest.mark.skipif(backend != "jax", reason="It transforms JAX functions.")
only_tensorflow = pytest.mark.skipif(
    backend != "tensorflow", reason="It traces TensorFlow functions."
)

CASE = Case((5, 6), (3, 3), groups=2, channels=4)
STRIDED = Case((5, 6), (3, 5), groups=1, channels=4, strides=2, dilation_rate=(1, 2))
WIDE_GROUP = Case((3, 4), (3, 3), groups=1, channels=40)
OTHER_RANKS = [
    Case((7,), (3,), strides=2),
    Case((3, 4, 2), (3, 1, 3), strides=(1, 2, 1)),
    Case((3, 4, 2), (3, 1, 3), strides=(1, 2, 1), data_format="channels_first"),
]


def call(case: Case, implementation: str | None = None):
    return functools.partial(
        involution,
        strides=case.strides,
        dilation_rate=case.dilation_rate,
        data_format=case.data_format,
        implementation=implementation,
    )


def close(result, expected, tolerance: float = 1e-5) -> None:
    result = ops.convert_to_numpy(result)
    expected = np.asarray(ops.convert_to_numpy(expected))
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


def close_to_reference(results, case: Case) -> None:
    x, k, dy, geometry = case.tensors()
    expected = (
        _reference.involution(x, k, geometry),
        *_reference.gradients(x, k, dy, geometry),
    )
    for result, wanted in zip(results, expected, strict=True):
        close(result, wanted)


@pytest.mark.parametrize("case", [*OTHER_RANKS, WIDE_GROUP], ids=str)
def test_other_ranks_and_wide_groups(case):
    tensors = [ops.convert_to_tensor(a) for a in case.tensors()[:3]]
    close_to_reference(value_and_gradients(call(case), *tensors), case)


@pytest.mark.parametrize("case", [CASE, STRIDED], ids=str)
def test_gradients_are_finite_differences(case):
    x, k, dy, geometry = case.tensors("float64")
    step, rng = 1e-6, np.random.default_rng(1)
    directions = rng.standard_normal(x.shape), rng.standard_normal(k.shape)

    def run(inputs, kernels):
        return IMPLEMENTATIONS[0].run(inputs, kernels, geometry)

    def shifted(by: float) -> np.ndarray:
        moved = (a + by * d for a, d in zip((x, k), directions))
        tensors = (ops.convert_to_tensor(a, dtype="float64") for a in moved)
        return ops.convert_to_numpy(run(*tensors))

    with _float64():
        tensors = [ops.convert_to_tensor(a, dtype="float64") for a in (x, k, dy)]
        results = value_and_gradients(run, *tensors)
        value, dx, dk = (ops.convert_to_numpy(result) for result in results)
        slope = ((shifted(step) - shifted(-step)) * dy).sum() / (2 * step)
    assert value.dtype == dx.dtype == dk.dtype == np.float64
    expected = (dx * directions[0]).sum() + (dk * directions[1]).sum()
    np.testing.assert_allclose(slope, expected, rtol=1e-7)


def _float64():
    if backend != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(True)


@only_jax
def test_vmap_adds_an_axis():
    import jax

    x, k, dy, _ = CASE.tensors()

    def run(x, k, dy):
        value, pull_back = jax.vjp(call(CASE), x, k)
        return value, *pull_back(dy)

    stacked = [np.stack([a, 2 * a]) for a in (x, k, dy)]
    mapped = jax.vmap(run)(*stacked)
    close_to_reference([result[0] for result in mapped], CASE)
    for result, factor in zip(mapped, (4, 4, 4), strict=True):
        close(result[1], factor * result[0])


@only_jax
def test_vmap_over_one_argument():
    import jax

    x, k, _, _ = CASE.tensors()
    values = jax.vmap(call(CASE), (0, None))(np.stack([x, 3 * x]), k)
    close(values[1], 3 * values[0])


def second_derivatives(implementation: str):
    """Gradients for x, k of the squared gradients of a square."""
    x, k, _, _ = STRIDED.tensors()
    run = call(STRIDED, implementation)
    return _SECOND[backend](run, x, k)


def _jax_second(run, x, k):
    import jax
    import jax.numpy as jnp

    def squares(x, k):
        gradients = jax.grad(lambda x, k: jnp.sum(run(x, k) ** 2), (0, 1))(x, k)
        return sum(jnp.sum(g**2) for g in gradients)

    return jax.jit(jax.grad(squares, (0, 1)))(x, k)


def _tensorflow_second(run, x, k):
    import tensorflow as tf

    x, k = tf.constant(x), tf.constant(k)
    with tf.GradientTape() as outer:
        outer.watch((x, k))
        with tf.GradientTape() as inner:
            inner.watch((x, k))
            value = tf.reduce_sum(run(x, k) ** 2)
        gradients = inner.gradient(value, (x, k))
        squares = sum(tf.reduce_sum(g**2) for g in gradients)
    return outer.gradient(squares, (x, k))


_SECOND = {"jax": _jax_second, "tensorflow": _tensorflow_second}


@pytest.mark.skipif(backend not in _SECOND, reason="Not written for this backend.")
def test_second_derivatives():
    for result, expected in zip(
        second_derivatives("native"), second_derivatives("portable"), strict=True
    ):
        scale = np.abs(ops.convert_to_numpy(expected)).max()
        close(result / scale, expected / scale)


@pytest.mark.parametrize("data_format", ("channels_last", "channels_first"))
@pytest.mark.parametrize("name", available_implementations())
def test_no_images_have_gradients(name, data_format):
    case = Case((5, 4), (3, 3), strides=2, batch=0, data_format=data_format)
    tensors = [ops.convert_to_tensor(a, "float32") for a in case.tensors()[:3]]
    reason = named(IMPLEMENTATIONS, name).unsupported_reason(
        *tensors[:2], case.geometry()
    )
    if reason is not None:
        pytest.skip(reason)
    results = value_and_gradients(call(case, name), *tensors)
    shapes = case.output_shape(), case.input_shape(), case.kernels_shape()
    assert [tuple(result.shape) for result in results] == list(shapes)


def jvp(f, *primals):
    import jax

    return jax.jvp(f, primals, tuple(2 * a + 1 for a in primals))


def linearize(f, *primals):
    import jax

    value, linear = jax.linearize(f, *primals)
    return value, linear(*(2 * a + 1 for a in primals))


def hessian(f, *primals):
    import jax

    return jax.jit(jax.hessian(lambda *a: (f(*a) ** 3).sum(), (0, 1)))(*primals)


def reverse_over_reverse(f, *primals):
    import jax

    gradient = jax.grad(lambda *a: (f(*a) ** 3).sum(), (0, 1))
    return jax.jit(jax.jacrev(gradient, (0, 1)))(*primals)


def of_one_argument_twice(f, x, k):
    import jax

    gradient = jax.grad(lambda x: (f(x, k) ** 3).sum())
    return jax.grad(lambda x: (gradient(x) ** 2).sum())(x)


def vmap_of_gradients(f, x, k):
    import jax

    gradient = jax.grad(lambda x, k: (f(x, k) ** 2).sum(), (0, 1))
    return jax.vmap(gradient, (1, None))(np.stack([x, x + 1], 1), k)


def rematerialized(f, *primals):
    import jax

    return jax.grad(jax.checkpoint(lambda *a: (f(*a) ** 2).sum()), (0, 1))(*primals)


@only_jax
@pytest.mark.parametrize(
    "transform",
    [
        jvp,
        linearize,
        hessian,
        reverse_over_reverse,
        of_one_argument_twice,
        vmap_of_gradients,
        rematerialized,
    ],
)
@pytest.mark.parametrize("name", ["cpp", "native"])
def test_transformations_of_jax(name, transform):
    """Equals the transformation of the portable form by JAX."""
    import jax

    case = Case((3, 2), (3, 1), groups=1, channels=2, strides=(2, 1), batch=1)
    x, k, _, geometry = case.tensors()
    reason = named(IMPLEMENTATIONS, name).unsupported_reason(
        ops.convert_to_tensor(x), ops.convert_to_tensor(k), geometry
    )
    if reason is not None:
        pytest.skip(reason)
    results = transform(call(case, name), x, k)
    expected = transform(call(case, "portable"), x, k)
    assert jax.tree.structure(results) == jax.tree.structure(expected)
    for result, wanted in zip(jax.tree.leaves(results), jax.tree.leaves(expected)):
        close(result, wanted, 1e-4)


@only_jax
def test_no_function_of_ours_is_exported():
    import jax

    x, k, _, _ = CASE.tensors()
    program = jax.jit(call(CASE))
    assert "custom_call" in program.lower(x, k).as_text()
    exported = jax.export.export(program)(x, k)
    assert "custom_call" not in exported.mlir_module()
    close(exported.call(x, k), program(x, k))


@only_tensorflow
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("known", [(), (3,), (1, 2, 3)])
@pytest.mark.parametrize("case", [CASE, STRIDED], ids=str)
def test_graphs_of_unknown_shapes(case, known, compiled):
    import tensorflow as tf

    def run(x, k, dy):
        tensors = x, k
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = call(case)(*tensors)
        return value, *tape.gradient(value, tensors, output_gradients=dy)

    arrays = case.tensors()[:3]
    shapes = [
        [n if axis in known or axis > 2 else None for axis, n in enumerate(a.shape)]
        for a in arrays
    ]
    signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    traced = tf.function(run, input_signature=signature, jit_compile=compiled)
    close_to_reference(traced(*arrays), case)


@only_tensorflow
def test_inside_a_data_pipeline():
    import tensorflow as tf

    x, k, _, geometry = CASE.tensors()
    pipeline = tf.data.Dataset.from_tensors((x, k)).map(call(CASE))
    close(next(iter(pipeline)), _reference.involution(x, k, geometry))
