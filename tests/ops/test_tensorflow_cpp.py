"""The C++ operations in TensorFlow programs: where they are used, and where not."""

from __future__ import annotations

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
from tests.ops.cases import Case

pytestmark = pytest.mark.skipif(
    loading.reason() is not None, reason=str(loading.reason())
)
OURS = {"KerasInvolution", "KerasInvolutionGradients"}


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


def small_model() -> keras.Model:
    layers = [Involution2D(3), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((8, 8, 16)), *layers, keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


def images(count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((count, 8, 8, 16), "float32"), np.zeros((count, 2), "float32")


@pytest.mark.parametrize(
    ("use", "kinds"),
    [
        (lambda m, x, y: m.fit(x, y, batch_size=4, verbose=0), OURS),
        (lambda m, x, y: m.train_on_batch(x, y), OURS),
        (lambda m, x, y: m.evaluate(x, y, verbose=0), {"KerasInvolution"}),
        (lambda m, x, y: m.predict(x, verbose=0), {"KerasInvolution"}),
        (lambda m, x, y: m.predict_on_batch(x), {"KerasInvolution"}),
    ],
    ids=["fit", "train_on_batch", "evaluate", "predict", "predict_on_batch"],
)
def test_keras_loops_take_it(traced, use, kinds):
    use(small_model(), *images())
    assert traced & OURS == kinds


def test_several_steps_in_one_program_take_it(traced):
    model = small_model()
    model.compile("sgd", "mse", steps_per_execution=2)
    model.fit(*images(), batch_size=2, verbose=0)
    assert traced & OURS == OURS


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
    assert traced & OURS == OURS


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


@pytest.mark.parametrize("data_format", ("channels_last", "channels_first"))
def test_sizes_known_when_it_runs(data_format):
    case = Case((6, 5), (3, 3), strides=2, data_format=data_format)
    x, k, dy, geometry = case.tensors("float64")
    signature = [
        tf.TensorSpec([None if axis in open_axes else n for axis, n in enumerate(s)])
        for s, open_axes in (
            (x.shape, (0, *geometry.spatial_axes)),
            (k.shape, (0, *geometry.kernel_spatial_axes)),
        )
    ]

    @tf.function(input_signature=signature)
    def forward(x, k):
        return involution(x, k, 2, data_format=data_format, implementation="cpp")

    @tf.function(input_signature=signature)
    def backward(x, k):
        return tf.gradients(forward(x, k), (x, k), tf.cast(dy, tf.float32))

    x32, k32 = x.astype("float32"), k.astype("float32")
    y, (dx, dk) = forward(x32, k32), backward(x32, k32)
    np.testing.assert_allclose(y, _reference.involution(x, k, geometry), atol=1e-5)
    for got, wanted in zip((dx, dk), _reference.gradients(x, k, dy, geometry)):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    for axis in (0, *geometry.spatial_axes):
        fewer = np.take(x32, range(x.shape[axis] - 2), axis)
        for function in (forward, backward):
            with pytest.raises(tf.errors.InvalidArgumentError, match="do not match"):
                function(fewer, k32)
