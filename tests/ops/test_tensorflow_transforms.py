"""Function transformations of TensorFlow never return wrong zeros."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_involution.ops import _portable, _reference
from keras_involution.ops._cpp import loading
from keras_involution.ops.tensorflow import cpp_kernel, native
from tests.ops.cases import Case
from tests.ops.test_fused_involution import tensors

CASE = Case((5, 4), (3, 3), channels=4, strides=(2, 1))
X, K, DY, GEOMETRY = CASE.tensors("float64")
RNG = np.random.default_rng(1)
# A direction for each of the inputs and the kernels.
U, V = (RNG.standard_normal(a.shape) for a in (X, K))


def outputs(x, k) -> np.ndarray:
    return _reference.involution(x, k, GEOMETRY)


def gradients(x, k, dy) -> tuple[np.ndarray, np.ndarray]:
    return _reference.gradients(x, k, dy, GEOMETRY)


def constants(*arrays: np.ndarray) -> tuple[tf.Tensor, ...]:
    return tuple(tf.constant(a, tf.float64) for a in arrays)


def involution(x, k):
    return native.involution(x, k, GEOMETRY)


@pytest.fixture(params=("native", "cpp"))
def form(request):
    """The involution of two tensors, as an XLA program or as C++ operations."""
    if request.param == "native":
        return involution
    if loading.reason() is not None:
        pytest.skip(loading.reason())
    return lambda x, k: cpp_kernel.CPP.run(x, k, GEOMETRY)


def close(results, *expected: np.ndarray) -> None:
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=0, atol=1e-11)


def slopes(function, *tensors, upstream=None):
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return tape.gradient(value, tensors, output_gradients=upstream)


def either_way(function):
    return pytest.mark.parametrize("wrap", (lambda f: f, tf.function))(function)


@either_way
def test_gradients_of_gradients(form, wrap):
    x, k, dy, u, v = constants(X, K, DY, U, V)

    def slope(x, k, dy):
        dx, dk = slopes(form, x, k, upstream=dy)
        return tf.reduce_sum(dx * u) + tf.reduce_sum(dk * v)

    got = wrap(lambda *tensors: slopes(slope, *tensors))(x, k, dy)
    close(got, *gradients(U, V, DY), outputs(U, K) + outputs(X, V))


@either_way
def test_forward_mode(form, wrap):
    x, k, u, v = constants(X, K, U, V)

    @wrap
    def run():
        with tf.autodiff.ForwardAccumulator((x, k), (u, v)) as accumulator:
            y = form(x, k)
        return y, accumulator.jvp(y)

    close(run(), outputs(X, K), outputs(U, K) + outputs(X, V))


@either_way
def test_gradients_of_a_vectorised_map(wrap):
    more = constants(np.stack([X, 2 * X]), np.stack([K, -K]))
    dy = constants(np.stack([DY, DY]))[0]

    def run(x, k):
        return tf.vectorized_map(
            lambda pair: involution(*pair), (x, k), fallback_to_while_loop=False
        )

    got = wrap(lambda *tensors: slopes(run, *tensors, upstream=dy))(*more)
    first, second = gradients(X, K, DY), gradients(2 * X, -K, DY)
    close(got, *(np.stack(pair) for pair in zip(first, second)))


def test_jacobian_and_its_gradient(form):
    x, k, dy, u, v = constants(X, K, DY, U, V)

    def weighted(x, k):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch((x, k))
            y = form(x, k)
        both = tape.jacobian(y, (x, k))
        return [tf.tensordot(dy, jacobian, 4) for jacobian in both]

    close(weighted(x, k), *gradients(X, K, DY))

    def slope(x, k):
        dx, dk = weighted(x, k)
        return tf.reduce_sum(dx * u) + tf.reduce_sum(dk * v)

    close(slopes(slope, x, k), *gradients(U, V, DY))


def test_inside_of_a_condition(form):
    x, k, dy = constants(X, K, DY)

    @tf.function
    def run(x, k):
        return tf.cond(tf.size(x) > 1, lambda: form(x, k), lambda: 0 * dy)

    close(slopes(run, x, k, upstream=dy), *gradients(X, K, DY))


@pytest.mark.parametrize("compiled", (False, True))
def test_a_batch_of_no_images(compiled):
    shapes = [(None, *a.shape[1:]) for a in (X, K, DY)]
    signature = [tf.TensorSpec(shape, tf.float64) for shape in shapes]

    @tf.function(input_signature=signature, jit_compile=compiled)
    def run(x, k, dy):
        return involution(x, k), *slopes(involution, x, k, upstream=dy)

    for images in (0, 2):
        x, k, dy = (a[:images] for a in (X, K, DY))
        close(run(x, k, dy), *(a[:images] for a in EXPECTED))
    x, k, dy = constants(X[:0], K[:0], DY[:0])
    close(slopes(involution, x, k, upstream=dy), X[:0], K[:0])


class TestFused:
    """The operator with kernels that are computed from features, in C++."""

    CASE = Case((5, 4), (3, 3), strides=(2, 1))
    *ARRAYS, UPSTREAM, SIZES = tensors(CASE, "float64")
    DIRECTIONS = tuple(RNG.standard_normal(a.shape) for a in ARRAYS)
    # It is linear in the inputs, in the features, and in matrix and bias.
    PARTS = ((0,), (1,), (2, 3))

    @pytest.fixture(autouse=True)
    def compiled(self):
        if loading.reason() is not None:
            pytest.skip(loading.reason())

    def moved(self, part: tuple[int, ...]) -> list[np.ndarray]:
        """The arrays, of which one part is replaced by its direction."""
        arrays = [
            self.DIRECTIONS[place] if place in part else array
            for place, array in enumerate(self.ARRAYS)
        ]
        return [*arrays[:3], 0 * arrays[3] if part == (1,) else arrays[3]]

    def tangent(self) -> np.ndarray:
        return sum(_reference.fused(*self.moved(p), self.SIZES) for p in self.PARTS)

    def second_derivatives(self) -> list[np.ndarray]:
        """Those of the sum of directions times gradients, for the arrays."""
        totals = [np.zeros_like(array) for array in self.ARRAYS]
        for part in self.PARTS:
            arrays = self.moved(part)
            found = _reference.fused_gradients(*arrays, self.UPSTREAM, self.SIZES)
            for place in {0, 1, 2, 3}.difference(part, (3,) if part == (1,) else ()):
                totals[place] += found[place]
        return totals

    def run(self, *given):
        return cpp_kernel.CPP.fused()(*given, self.SIZES)

    @either_way
    def test_gradients_of_gradients(self, wrap):
        directions = constants(*self.DIRECTIONS)

        def slope(*given):
            *given, dy = given
            found = slopes(self.run, *given, upstream=dy)
            return sum(tf.reduce_sum(g * u) for g, u in zip(found, directions))

        given = constants(*self.ARRAYS, self.UPSTREAM)
        got = wrap(lambda *given: slopes(slope, *given))(*given)
        close(got, *self.second_derivatives(), self.tangent())

    @either_way
    def test_forward_mode(self, wrap):
        given, directions = constants(*self.ARRAYS), constants(*self.DIRECTIONS)

        @wrap
        def run():
            with tf.autodiff.ForwardAccumulator(given, directions) as accumulator:
                y = self.run(*given)
            return y, accumulator.jvp(y)

        close(run(), _reference.fused(*self.ARRAYS, self.SIZES), self.tangent())

    def test_jacobian(self):
        given, dy = constants(*self.ARRAYS), constants(self.UPSTREAM)[0]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(given)
            y = self.run(*given)
        got = [tf.tensordot(dy, j, 4) for j in tape.jacobian(y, given)]
        arrays = *self.ARRAYS, self.UPSTREAM
        close(got, *_reference.fused_gradients(*arrays, self.SIZES))


EXPECTED = (outputs(X, K), *gradients(X, K, DY))


def test_portable_computes_float64_in_float64():
    x, k, dy = constants(X, K, DY)

    def run(x, k):
        return _portable.involution(x, k, GEOMETRY)

    close((run(x, k), *slopes(run, x, k, upstream=dy)), *EXPECTED)
