"""The C++ operations in TensorFlow programs: where they are used, and where not."""

from __future__ import annotations

import dataclasses
import functools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_involution import RedNetBackbone
from keras_involution.layers import Involution2D
from keras_involution.ops import _reference, involution
from keras_involution.ops._cpp import loading
from keras_involution.ops.tensorflow import _cpp_call
from tests.ops import test_fused_involution
from tests.ops.cases import Case

pytestmark = pytest.mark.skipif(
    loading.reason() is not None, reason=str(loading.reason())
)
STORED = {"KerasInvolution", "KerasInvolutionGradients"}
FUSED = {"KerasInvolutionFused", "KerasInvolutionFusedGradients"}
OURS = STORED | FUSED


@pytest.fixture
def traced(monkeypatch) -> set[str]:
    """Collects the types of operations in all graphs created from now on."""
    kinds: set[str] = set()
    make = tf.Graph._create_op_internal

    def note(graph, kind, *arguments, **options):
        kinds.add(kind)
        return make(graph, kind, *arguments, **options)

    monkeypatch.setattr(tf.Graph, "_create_op_internal", note)
    return kinds


def small_model(**options) -> keras.Model:
    layers = [Involution2D(3, **options), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((8, 8, 16)), *layers, keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


def images(count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((count, 8, 8, 16), "float32"), np.zeros((count, 2), "float32")


@pytest.mark.parametrize(
    ("use", "kinds"),
    [
        (lambda m, x, y: m.fit(x, y, batch_size=4, verbose=0), FUSED),
        (lambda m, x, y: m.train_on_batch(x, y), FUSED),
        (lambda m, x, y: m.evaluate(x, y, verbose=0), {"KerasInvolutionFused"}),
        (lambda m, x, y: m.predict(x, verbose=0), {"KerasInvolutionFused"}),
        (lambda m, x, y: m.predict_on_batch(x), {"KerasInvolutionFused"}),
    ],
    ids=["fit", "train_on_batch", "evaluate", "predict", "predict_on_batch"],
)
def test_keras_loops_take_it(traced, use, kinds):
    use(small_model(), *images())
    assert traced & OURS == kinds


def test_layers_that_store_kernels_take_the_other_operations(traced):
    small_model(dtype="mixed_bfloat16").fit(*images(), verbose=0)
    assert traced & OURS == STORED


def test_several_steps_in_one_program_take_it(traced):
    model = small_model()
    model.compile("sgd", "mse", steps_per_execution=2)
    model.fit(*images(), batch_size=2, verbose=0)
    assert traced & OURS == FUSED


def test_functions_that_are_called_take_it(traced):
    model, (x, y) = small_model(), images()

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=True) - y))
        return tape.gradient(loss, model.trainable_variables)

    wanted = step.python_function(x, y)
    for got, expected in zip(step(x, y), wanted, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
    assert traced & OURS == FUSED


@pytest.mark.parametrize(
    "use",
    [
        lambda f, x: tf.function(f, jit_compile=True)(x),
        lambda f, x: tf.function(f).get_concrete_function(x)(tf.constant(x)),
        lambda f, x: tf.function(lambda x: tf.function(f)(x))(x),
        lambda f, x: next(iter(tf.data.Dataset.from_tensors(x).map(f))),
        lambda f, x: tf.vectorized_map(lambda image: f(image[None])[0], x),
    ],
    ids=["XLA", "get_concrete_function", "nested", "tf.data", "vectorized_map"],
)
def test_other_programs_do_not(traced, use):
    model, (x, _) = small_model(), images()
    got = use(lambda x: model(x, training=False), x)
    np.testing.assert_allclose(got, model(x), atol=1e-5)
    assert not traced & OURS


def test_programs_of_xla_do_not(traced):
    model = small_model()
    model.compile("sgd", "mse", jit_compile=True)
    model.fit(*images(), verbose=0)
    assert not traced & OURS


def test_nor_a_function_that_one_of_them_calls_and_others_may_save(traced):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.involution = Involution2D(3)

        @tf.function
        def inner(self, x):
            return self.involution(x)

        def call(self, x):
            return self.inner(x)

    Model().predict(images()[0], verbose=0)
    assert not traced & OURS


def test_saved_models_run_where_it_is_unknown(tmp_path):
    model = RedNetBackbone([64], [1], [1], image_shape=(32, 32, 3))
    x = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
    wanted = model.predict(x, verbose=0)  # A program with the operations.
    np.save(tmp_path / "x.npy", x)
    tf.saved_model.save(model, str(tmp_path / "saved"))
    model.export(str(tmp_path / "exported"), verbose=False)
    module = tf.Module()
    module.model, module.call = model, tf.function(lambda x: model(x, training=False))
    np.testing.assert_allclose(module.call(x), wanted, atol=1e-4)
    tf.saved_model.save(module, str(tmp_path / "called"))
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        "x = np.load(sys.argv[1] + '/x.npy')\n"
        "loaded = tf.saved_model.load(sys.argv[1] + '/called')\n"
        "np.save(sys.argv[1] + '/called.npy', loaded.call(tf.constant(x)))\n"
        "for name in ('saved', 'exported'):\n"
        "    loaded = tf.saved_model.load(f'{sys.argv[1]}/{name}')\n"
        "    call = loaded.signatures['serving_default']\n"
        "    (name_of_x,) = call.structured_input_signature[1]\n"
        "    y = next(iter(call(**{name_of_x: tf.constant(x)}).values()))\n"
        "    np.save(f'{sys.argv[1]}/{name}.npy', y)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    for name in ("saved", "exported", "called"):
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), wanted, atol=1e-4)


STRIDED = Case((6, 5), (3, 3), strides=2)


def stored(data_format: str):
    """(operator, arrays, axes of unknown size, upstream, reference)."""
    case = dataclasses.replace(STRIDED, data_format=data_format)
    *arrays, dy, geometry = case.tensors()
    axes = (0, *geometry.spatial_axes), (0, *geometry.kernel_spatial_axes)
    options = {"data_format": data_format, "implementation": "cpp"}
    reference = (
        _reference.involution(*arrays, geometry),
        *_reference.gradients(*arrays, dy, geometry),
    )
    return lambda x, k: involution(x, k, 2, **options), arrays, axes, dy, reference


def fused():
    """The same for the operator that computes its kernels."""
    *arrays, dy, geometry = test_fused_involution.tensors(STRIDED)
    axes = (0, 1, 2), (0, 1, 2), (), ()
    reference = (
        _reference.fused(*arrays, geometry),
        *_reference.fused_gradients(*arrays, dy, geometry),
    )
    return test_fused_involution.call(STRIDED, "cpp"), arrays, axes, dy, reference


@pytest.mark.parametrize(
    "operator",
    [lambda: stored("channels_last"), lambda: stored("channels_first"), fused],
    ids=["channels_last", "channels_first", "fused"],
)
def test_sizes_known_when_it_runs(operator):
    function, arrays, axes, dy, reference = operator()
    signature = [
        tf.TensorSpec([None if i in open_ else n for i, n in enumerate(array.shape)])
        for array, open_ in zip(arrays, axes, strict=True)
    ]

    @tf.function(input_signature=signature)
    def forward(*tensors):
        return function(*tensors)

    @tf.function(input_signature=[*signature, tf.TensorSpec([None] * dy.ndim)])
    def backward(*tensors_and_dy):
        *tensors, dy = tensors_and_dy
        return tf.gradients(forward(*tensors), tensors, dy)

    given = [array.astype("float32") for array in (*arrays, dy)]
    results = forward(*given[:-1]), *backward(*given)
    for got, wanted in zip(results, reference, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    none = [a[:0] if open_ else a for a, open_ in zip(given, (*axes, (0,)))]
    for got, wanted in zip(backward(*none), none):
        assert got.shape == wanted.shape and not np.any(got)
    x, *others, dy = given
    for axis in axes[0]:
        fewer = np.take(x, range(x.shape[axis] - 2), axis)
        with pytest.raises(tf.errors.InvalidArgumentError, match="do not match"):
            forward(fewer, *others)
        with pytest.raises(tf.errors.InvalidArgumentError, match="do not match"):
            backward(fewer, *others, dy)


def test_the_operations_check_every_shape():
    *arrays, dy, geometry = test_fused_involution.tensors(STRIDED)
    given = [tf.constant(array) for array in (*arrays, dy)]
    for name, count in (("fused", 4), ("fused_gradients", 5)):
        call = functools.partial(_cpp_call.outputs, f"keras_involution_{name}")
        call(geometry, *given[:count])
        for place in range(count):
            for wrong in (given[place][..., 1:], given[place][None]):
                tensors = [*given[:place], wrong, *given[place + 1 : count]]
                with pytest.raises(tf.errors.InvalidArgumentError, match="not match"):
                    call(geometry, *tensors)
        first = dataclasses.replace(geometry, data_format="channels_first")
        with pytest.raises(tf.errors.InvalidArgumentError, match="not match"):
            call(first, *given[:count])


@pytest.mark.parametrize("threads", (3, 11))
def test_several_threads(threads):
    # A new process, since OpenMP reads its number of threads once per process.
    program = (
        "from tests.ops.test_fused_involution import DIVIDED, assert_divided\n"
        "for case, features in DIVIDED.values(): assert_divided(case, features)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
