"""Exported programs compute what the Keras model computes, on their own runtimes."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_involution.export import export_model, run_exported
from keras_involution.export._formats import FORMATS, format_of
from keras_involution.export._writers import import_openvino
from keras_involution.whale_id import EmbeddingNetwork
from tests.export.networks import classifier, drawn, inputs, involution
from tests.export.runtimes import RUNTIMES

BACKEND = keras.config.backend()
WRITTEN = {
    "tensorflow": ("onnx", "openvino", "saved_model", "litert"),
    "jax": ("saved_model", "stablehlo"),
    "torch": ("onnx", "openvino", "torch"),
}[BACKEND]
pytestmark = [
    # TensorFlow deprecates its interpreter and has no other.
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter:UserWarning"),
]


@pytest.fixture(params=WRITTEN)
def format(request) -> str:
    if BACKEND == "tensorflow" and request.param == "onnx":
        pytest.importorskip("tf2onnx", reason="Keras writes ONNX with tf2onnx here")
    if request.param == "openvino":
        needs_openvino()
    return request.param


def needs_openvino():
    """Skips without importing OpenVINO, which the package must import."""
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")


def assert_same(model, tmp_path, format, *examples, **sizes):
    run, suffix = RUNTIMES[format]
    path = tmp_path / f"program{suffix}"
    assert export_model(model, path, format, **sizes) == path
    names = {path.name, "program.bin"} if format == "openvino" else {path.name}
    assert {p.name for p in tmp_path.iterdir()} == names
    assert_no_operator_of_ours(tmp_path)
    for x in examples:
        expected = model.predict(x, verbose=0)
        assert np.abs(expected).max() > 0.05
        answer, *others = run(str(path), x)
        # OpenVINO takes variables of TensorFlow for further outputs.
        assert not others or (BACKEND, format) == ("tensorflow", "openvino")
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(run_exported(path, x), answer)


def assert_no_operator_of_ours(folder):
    """Checks that a program has no operators of this package and no local paths.

    This process could run the operators; other machines cannot.
    """
    for file in filter(Path.is_file, folder.rglob("*")):
        content = file.read_bytes()
        for name in (b"ops.keras_involution", b"keras_involution_involution"):
            assert name not in content
        assert b"site-packages" not in content and b"_portable.py" not in content


def test_open_sizes(format, tmp_path):
    model = classifier(data_format="channels_last")
    examples = [inputs(2, 40, 48), inputs(1, 33, 47), inputs(3, 35, 38)]
    assert_same(model, tmp_path, format, *examples)


def test_fixed_sizes(format, data_format, tmp_path):
    model = involution(data_format)
    x = inputs(2, 9, 12, data_format, 4)
    assert_same(model, tmp_path, format, x, image_size=(9, 12), batch_size=2)


def test_one_layer_with_open_sizes(format, data_format, tmp_path):
    examples = [inputs(*sizes, data_format, 4) for sizes in ((2, 9, 12), (1, 16, 7))]
    assert_same(involution(data_format), tmp_path, format, *examples)


def test_the_baseline_with_an_open_batch(format, tmp_path):
    model = classifier(spatial_operator="convolution", pooling="max")
    examples = [inputs(2, 40, 48), inputs(1, 40, 48)]
    assert_same(model, tmp_path, format, *examples, image_size=(40, 48))


def test_an_embedding_network(format, tmp_path):
    network = EmbeddingNetwork(classifier().backbone, levels=1, embedding_size=4)
    assert_same(
        drawn(network), tmp_path, format, inputs(2, 32, 32), image_size=32, batch_size=2
    )


def test_what_is_not_written_here_raises(tmp_path):
    model = involution("channels_last")
    for format, kind in FORMATS.items():
        if BACKEND not in kind.libraries:
            _, suffix = RUNTIMES[format]
            with pytest.raises(ValueError, match="cannot be written on this backend"):
                export_model(model, tmp_path / f"program{suffix}", format)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif("openvino" not in WRITTEN, reason="not written on this backend")
def test_openvino_reports_to_nobody():
    """Its telemetry would send a report from a forked process for each conversion."""
    needs_openvino()
    import_openvino()
    from openvino.tools.ovc import convert_impl, telemetry_utils

    for module in (convert_impl, telemetry_utils):
        assert module.tm.__name__.endswith("telemetry_stub")


@pytest.mark.skipif(BACKEND != "torch", reason="the converter reads PyTorch's programs")
def test_litert_from_pytorch(tmp_path, monkeypatch):
    model, path = involution("channels_last"), tmp_path / "a.tflite"
    real, there = importlib.util.find_spec, False

    def find_spec(name):
        return (there or None) if name == "litert_torch" else real(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with pytest.raises(ImportError, match=r"litert-torch`, or KERAS_BACKEND=tensor"):
        export_model(model, path)
    there = True
    for sizes in ((None, 2), (8, None)):
        with pytest.raises(ValueError, match=r"pass `image_size` and `batch_size`\."):
            export_model(model, path, None, *sizes)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(BACKEND != "torch", reason="the converter reads PyTorch's programs")
@pytest.mark.filterwarnings("ignore")  # of the converter's own code
def test_litert_from_pytorch_runs(tmp_path):
    if importlib.util.find_spec("litert_torch") is None:
        pytest.skip("litert-torch is not installed")
    model, x = involution("channels_last"), inputs(2, 9, 12, "channels_last", 4)
    path = export_model(model, tmp_path / "a.tflite", None, (9, 12), 2)
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(run_exported(path, x), expected, rtol=0, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_a_model_that_keras_has_quantized(tmp_path):
    model, format = classifier(), {"torch": "torch"}.get(BACKEND, "saved_model")
    model.quantize("int8")
    assert_same(model, tmp_path, format, inputs(2, 32, 32), image_size=32, batch_size=2)


def test_kernels_of_8_bits(tmp_path):
    model = classifier(stackwise_num_filters=[64], data_format="channels_last")
    if BACKEND != "tensorflow":
        with pytest.raises(
            ValueError, match=r"written on TensorFlow can be quantized\."
        ):
            export_model(
                model, tmp_path / f"a{RUNTIMES[WRITTEN[0]][1]}", quantize="int8"
            )
        return
    with pytest.raises(ValueError, match=r"`quantize` must be .*Received: quantize='i"):
        export_model(model, tmp_path / "a.tflite", quantize="int4")
    paths = [tmp_path / f"{name}.tflite" for name in ("int8", "float")]
    for path, quantize in zip(paths, ("int8", None)):
        export_model(model, path, image_size=32, quantize=quantize)
    small, large = (path.stat().st_size for path in paths)
    numbers = model.fuse_for_inference().count_params()
    assert large - small > 2.5 * numbers
    x = inputs(4, 32, 32)
    expected = model.predict(x, verbose=0)
    noise = run_exported(paths[0], x) - expected
    ratio = np.square(expected - expected.mean()).mean() / np.square(noise).mean()
    assert 1e3 < ratio < 1e6  # 30 to 60 dB


def test_half_precision(tmp_path):
    model = classifier(dtype="bfloat16")
    if BACKEND != "jax":
        suffix = {"tensorflow": ".tflite", "torch": ".onnx"}[BACKEND]
        with pytest.raises(ValueError, match=r"only float32.*bfloat16"):
            export_model(model, tmp_path / f"program{suffix}")
        return
    export_model(model, tmp_path / "program.stablehlo", image_size=32)
    x = inputs(2, 32, 32)
    [answer] = RUNTIMES["stablehlo"][0](tmp_path / "program.stablehlo", x)
    expected = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(
        answer.astype("float32"), expected.astype("float32"), atol=2e-2
    )


def test_bad_requests_leave_nothing(tmp_path):
    model = involution("channels_last")
    name = {"tensorflow": "a.tflite", "jax": "a.stablehlo", "torch": "a.pt2"}[BACKEND]
    suffix = name[1:]
    (tmp_path / "file").write_text("kept")
    fixed = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    for words, arguments in (
        ("`format` must be one of", (model, tmp_path / "a.onnx", "tflite")),
        ("must end with .onnx", (model, tmp_path / "a.tflite", "onnx")),
        ("have no suffix", (model, tmp_path / "a.onnx", "saved_model")),
        ("Pass `format`", (model, tmp_path / "a.txt")),
        ("does not exist", (model, tmp_path / "absent" / name)),
        ("is a file", (model, tmp_path / "file" / name)),
        ("functional model or a built", (keras.Sequential(), tmp_path / name)),
        ("must be a Keras model", (3, tmp_path / name)),
        ("must fit the input of the model", (fixed, tmp_path / name, None, 9)),
        ("`image_size` must be", (model, tmp_path / name, None, 0)),
        ("`batch_size` must be", (model, tmp_path / name, None, None, -1)),
        ("Only ONNX has", (model, tmp_path / name, None, 8, 1, 18)),
    ):
        with pytest.raises(ValueError, match=words) as error:
            export_model(*arguments)
        assert "Received: " in str(error.value)
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(ValueError, match="is a folder, and a file"):
        export_model(model, tmp_path / f"folder{suffix}")
    assert {p.name for p in tmp_path.iterdir()} == {"file", f"folder{suffix}"}


def test_an_exporter_that_fails_keeps_the_old_file(tmp_path):
    name = {"tensorflow": "a.tflite", "jax": "a.stablehlo", "torch": "a.pt2"}[BACKEND]
    (tmp_path / name).write_text("the old one")

    class Refusing(keras.layers.Layer):
        def call(self, inputs):
            if isinstance(inputs, keras.KerasTensor) or not self.armed:
                return inputs
            raise RuntimeError("no such operator")

    layer = Refusing()
    layer.armed = False
    model = keras.Sequential([keras.Input((4, 4, 1)), layer])
    layer.armed = True
    with pytest.raises(ValueError, match=r"cannot write the model.*no such operator"):
        export_model(model, tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "the old one"


def test_an_exporter_that_breaks_off_keeps_the_old_file(tmp_path, monkeypatch):
    name = {"tensorflow": "a.tflite", "jax": "a.stablehlo", "torch": "a.pt2"}[BACKEND]
    (tmp_path / name).write_text("the old one")

    def write_half(model, path, *args):
        path.write_text("half of the n")
        raise KeyboardInterrupt

    kind = FORMATS[format_of(tmp_path / name, None)]
    monkeypatch.setitem(
        FORMATS, format_of(tmp_path / name, None), replace(kind, write=write_half)
    )
    with pytest.raises(KeyboardInterrupt):
        export_model(involution("channels_last"), tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "the old one"


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    gone = {"tensorflow": "tf2onnx", "torch": "onnxscript", "jax": "tensorflow"}[
        BACKEND
    ]
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == gone else real(n)
    )
    path = tmp_path / ("a" if BACKEND == "jax" else "a.onnx")
    with pytest.raises(ImportError, match=f"pip install {gone}.*Received: format="):
        export_model(involution("channels_last"), path)


@pytest.mark.skipif(BACKEND == "jax", reason="ONNX is not written on JAX; it raises")
def test_a_wrong_opset(tmp_path):
    if BACKEND == "tensorflow":
        pytest.importorskip("tf2onnx", reason="Keras writes ONNX with tf2onnx here")
    for opset in (3, 99):
        with pytest.raises(ValueError, match=r"(exporter|newest opset).*Received: "):
            export_model(
                involution("channels_last"), tmp_path / "a.onnx", None, 8, 1, opset
            )
    assert not list(tmp_path.iterdir())
