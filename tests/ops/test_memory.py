"""No implementation allocates an array of window * window times its input.

The sizes are read from the compiled program: every array, forward and backward.
"""

from __future__ import annotations

import math
import re

import keras
import pytest
from keras import ops

from keras_involution.ops import available_implementations, involution
from tests.ops.cases import Case

if keras.config.backend() == "tensorflow":
    import tensorflow as tf

CASES = [
    Case((16, 16), (7, 7), channels=64, groups=4),
    Case((16, 16), (7, 7), channels=64, groups=4, data_format="channels_first"),
    Case((16, 16), (7, 7), channels=64, groups=4, strides=2),
]


def largest_array(function, case: Case, name: str = "native") -> int:
    """Elements of the largest array in the program of values and gradients."""
    backend = keras.config.backend()
    program = _PROGRAMS.get((backend, name), _PROGRAMS.get(backend))
    if program is None:
        pytest.skip(f"Read by another test on {backend}.")
    text = program(function, *(a.astype("float32") for a in case.tensors()[:3]))
    shapes = re.findall(r"\b(?:f16|bf16|f32|f64)\[([\d,]+)\]", text)
    return max(math.prod(map(int, shape.split(","))) for shape in shapes)


def _jax_program(function, x, k, dy) -> str:
    """The program that JAX traced, and the program that XLA compiled."""
    import jax

    def run(x, k, dy):
        value, pull_back = jax.vjp(function, x, k)
        return value, pull_back(dy)

    compiled = jax.jit(run).lower(x, k, dy).compile()
    return f"{jax.make_jaxpr(run)(x, k, dy)}\n{compiled.as_text()}"


def _tensorflow_program(function, x, k, dy) -> str:
    """The program that XLA compiled."""
    tensors = [tf.constant(array) for array in (x, k, dy)]
    run = _tensorflow_function(function, jit_compile=True)
    return run.experimental_get_compiler_ir(*tensors)(stage="optimized_hlo")


def _tensorflow_graph(function, x, k, dy) -> str:
    """The graph that TensorFlow traced, without XLA."""
    graph = _tensorflow_function(function).get_concrete_function(x, k, dy).graph
    results = [result for made in graph.get_operations() for result in made.outputs]
    assert any("KerasInvolution" in result.op.type for result in results)
    floats = [result for result in results if result.dtype == tf.float32]
    return " ".join(f"f32[{','.join(map(str, r.shape))}]" for r in floats if r.shape)


def _tensorflow_function(function, **options):
    @tf.function(autograph=False, **options)
    def run(x, k, dy):
        x, k, dy = map(tf.convert_to_tensor, (x, k, dy))
        with tf.GradientTape() as tape:
            tape.watch((x, k))
            value = function(x, k)
        return value, *tape.gradient(value, (x, k), output_gradients=dy)

    return run


_PROGRAMS = {
    "jax": _jax_program,
    "tensorflow": _tensorflow_program,
    ("tensorflow", "cpp"): _tensorflow_graph,
}


def unfold(inputs, kernels):
    """The published formulation, 7x7 windows and 4 groups, which stores all patches."""
    batch, height, width, channels = inputs.shape
    padded = ops.pad(inputs, [(0, 0), (3, 3), (3, 3), (0, 0)])
    slices = [
        padded[:, i : i + height, j : j + width] for i in range(7) for j in range(7)
    ]
    patches = ops.reshape(
        ops.stack(slices, axis=-1), (batch, height, width, 4, channels // 4, 49)
    )
    weights = ops.reshape(kernels, (batch, height, width, 4, 1, 49))
    return ops.reshape(ops.sum(patches * weights, axis=-1), inputs.shape)


# The portable form has the framework's own gradients, which may store more.
OWN_GRADIENTS = [n for n in ("cpp", "native") if n in available_implementations()]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("name", OWN_GRADIENTS)
def test_no_patches(name, case):
    def call(inputs, kernels):
        return involution(
            inputs,
            kernels,
            strides=case.strides,
            data_format=case.data_format,
            implementation=name,
        )

    patches = 49 * math.prod(case.output_shape())
    # The padded kernels are the largest array that is needed.
    assert largest_array(call, case, name) < patches / 4


def test_patches_would_be_seen():
    patches = 49 * math.prod(CASES[0].output_shape())
    assert largest_array(unfold, CASES[0]) >= patches


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="Its graphs.")
def test_patches_would_be_seen_in_a_graph():
    def both(inputs, kernels):
        y = involution(inputs, kernels, implementation="cpp")
        return y + unfold(inputs, kernels)

    patches = 49 * math.prod(CASES[0].output_shape())
    assert largest_array(both, CASES[0], "cpp") >= patches
