"""The private names that show who traces a program have not changed."""

from __future__ import annotations

import importlib

import keras
import numpy as np
import pytest

from keras_involution.ops import _callers

BACKEND = keras.config.backend()


class Asking(keras.layers.Layer):
    """Records the state while a program is traced or run."""

    def __init__(self):
        super().__init__()
        self.exporters, self.steps = [], []

    def call(self, inputs):
        if not isinstance(inputs, keras.KerasTensor):
            self.exporters.append(_callers.keras_exporter())
            self.steps.append(_callers.runs_here())
        return inputs


@pytest.fixture
def asking() -> tuple[Asking, keras.Model]:
    layer = Asking()
    model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return layer, model


X = np.ones((2, 3), "float32")


# Keras on JAX passes an argument that JAX deprecates.
@pytest.mark.filterwarnings("ignore:The `native_serialization`:DeprecationWarning")
def test_the_exporters_of_keras(asking, tmp_path):
    layer, model = asking
    importlib.import_module(_callers.EXPORTERS + "onnx")
    model(X)
    assert set(layer.exporters) == {None}
    if BACKEND != "torch":  # PyTorch itself reports an export.
        model.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
        assert layer.exporters[-1] == "saved_model"


@pytest.mark.skipif(BACKEND != "tensorflow", reason="It is about a `tf.function`.")
class TestTensorFlow:
    @pytest.mark.parametrize(
        "use",
        [
            lambda m: m.fit(X, X[:, :1], verbose=0),
            lambda m: m.train_on_batch(X, X[:, :1]),
            lambda m: m.evaluate(X, X[:, :1], verbose=0),
            lambda m: m.predict(X, verbose=0),
            lambda m: m.predict_on_batch(X),
        ],
        ids=["fit", "train_on_batch", "evaluate", "predict", "predict_on_batch"],
    )
    def test_steps_of_keras(self, asking, use):
        layer, model = asking
        use(model)
        # Keras may have traced the model before to infer its shapes.
        assert layer.steps and layer.steps[-1], (
            f"Keras no longer runs its steps in {_callers.TRAINER}: the fast operator "
            "is no longer taken in `fit`."
        )

    def test_a_called_function(self, asking):
        import tensorflow as tf

        layer, model = asking
        function = tf.function(lambda x: model(x, training=False))
        function(X)
        assert layer.steps[-1], "A `tf.function` no longer shows that it is called."
        tf.function(lambda x: function(2 * x[:1]))(X)
        assert len(layer.steps) == 3 and not layer.steps[-1]

    def test_programs_that_are_asked_for(self, asking, tmp_path):
        import tensorflow as tf

        layer, model = asking
        module = tf.Module()
        module.model = model
        module.function = tf.function(lambda x: model(x, training=False))
        module.function(X)
        del layer.steps[:]
        tf.saved_model.save(module, str(tmp_path / "module"))  # It is traced again.
        tf.saved_model.save(model, str(tmp_path / "model"))
        tf.function(model).get_concrete_function(X)
        inner = tf.function(lambda x: model(2 * x, training=False))
        tf.function(lambda x: inner(x)).get_concrete_function(X)
        list(tf.data.Dataset.from_tensors(X).map(model))
        assert len(layer.steps) >= 5 and not any(layer.steps)

    def test_what_xla_compiles(self):
        import tensorflow as tf

        from keras_involution.ops.tensorflow import _private

        told = []

        def ask(x):
            told.append(_private.is_compiled_by_xla())
            return x

        outer = tf.function(lambda x: tf.function(ask)(x), jit_compile=True)
        for function in (tf.function(ask), tf.function(ask, jit_compile=True), outer):
            function(tf.constant(1.0))
        assert told == [False, True, True]

    def test_tangents(self):
        import tensorflow as tf

        from keras_involution.ops.tensorflow import _private

        x, y = tf.constant(1.0), tf.constant(2.0)
        with tf.autodiff.ForwardAccumulator(x, tf.constant(1.0)):
            assert _private.has_tangents([x]) and not _private.has_tangents([y])
