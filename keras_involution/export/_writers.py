"""Writes the formats with Keras's `Model.export`, and StableHLO with `jax.export`."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from keras_involution._arguments import received
from keras_involution.export._signature import open_axes

# Images large enough for every window and every stage. All sizes differ, since PyTorch
# treats equal sizes as one symbol.
_EXAMPLE_SIZES = (2, 101, 75, 51, 35)

# Warnings about the code of the exporters and of Keras, which users cannot change.
_FOREIGN_WARNINGS = (
    "Converting a tensor to a Python",
    "torch.as_tensor results are registered as constants",
    "torch.tensor results are registered as constants",
    "Constant folding - Only steps=1",
)


def write_onnx(model: Any, path: Path, spec: keras.InputSpec, **options: Any) -> None:
    import onnx

    _export(model, path, "onnx", spec, **options)
    program = onnx.load(path)
    for node in program.graph.node:
        # Contains lines of source code with local paths.
        del node.metadata_props[:]
    onnx.save(program, path)
    with _reported("onnx"):
        onnx.checker.check_model(path)
    domains = ("", "ai.onnx")
    written = next(o.version for o in program.opset_import if o.domain in domains)
    if options.get("opset_version", written) != written:
        raise ValueError(
            f"The exporter of this backend wrote opset {written} instead. "
            + received(**options, backend=keras.config.backend())
        )


def write_openvino(model: Any, path: Path, spec: keras.InputSpec) -> None:
    import_openvino()
    _export(model, path, "openvino", spec)


def write_saved_model(model: Any, path: Path, spec: keras.InputSpec) -> None:
    if keras.config.backend() == "tensorflow":
        _export(model, path, "tf_saved_model", spec)
        return
    with _without_places():
        # TensorFlow cannot save the gradients of a JAX program.
        options = {"jax2tf_kwargs": {"with_gradient": False}}
        _export(model, path, "tf_saved_model", spec, **options)


def write_litert(
    model: Any, path: Path, spec: keras.InputSpec, quantize: str | None = None
) -> None:
    options: dict[str, Any] = {}
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        # Built-in operators only. Others would need TensorFlow at run time.
        options["target_spec"] = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
        if quantize == "int8":
            options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    _export(model, path, "litert", spec, **options)


def write_torch(model: Any, path: Path, spec: keras.InputSpec) -> None:
    import torch

    # Keras would use 2 for every dynamic size: an image of 2x2 pixels.
    sizes = [n or example for n, example in zip(spec.shape, _EXAMPLE_SIZES)]
    example = keras.InputSpec(shape=tuple(sizes), dtype=spec.dtype, name=spec.name)
    dynamic = dict.fromkeys(open_axes(spec), torch.export.Dim.DYNAMIC)
    with torch.no_grad():
        _export(model, path, "torch", example, dynamic_shapes=dynamic or None)
    program = torch.export.load(path)
    for node in program.graph.nodes:
        # Contains lines of source code with local paths.
        node.meta.pop("stack_trace", None)
    torch.export.save(program, path)


def write_stablehlo(model: Any, path: Path, spec: keras.InputSpec) -> None:
    import jax

    names = ("b", "d0", "d1", "d2", "c")
    sizes = [name if n is None else str(n) for n, name in zip(spec.shape, names)]
    shape = jax.export.symbolic_shape(", ".join(sizes))
    with _reported("stablehlo"), _without_places():
        program = jax.export.export(
            jax.jit(lambda inputs: model(inputs, training=False)),
            platforms=("cpu", "cuda", "rocm", "tpu"),
        )(jax.ShapeDtypeStruct(shape, spec.dtype))
        path.write_bytes(program.serialize())


def import_openvino() -> Any:
    """Imports OpenVINO without its telemetry.

    The telemetry forks a process for each conversion, in which JAX and TensorFlow may
    hang. If it is imported already, it stays active.
    """
    # `None` makes the import fail, as Python documents. typeshed allows only modules.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


@contextlib.contextmanager
def _without_places() -> Iterator[None]:
    """Keeps source lines and local paths out of the programs that JAX traces."""
    import jax

    setting = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, setting)
    jax.config.update(setting, 0)
    try:
        yield
    finally:
        jax.config.update(setting, before)


def _export(
    model: Any, path: Path, format: str, spec: keras.InputSpec, **options: Any
) -> None:
    # On PyTorch the model is a module, which exporters switch to evaluation mode.
    was_training = getattr(model, "training", None)
    try:
        with _reported(format), warnings.catch_warnings():
            for category in (DeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", category)
            for message in _FOREIGN_WARNINGS:
                warnings.filterwarnings("ignore", message=message)
            # With `verbose`, Keras would print the temporary path.
            model.export(
                str(path), format, verbose=False, input_signature=[spec], **options
            )
    finally:
        if was_training is not None:
            model.train(was_training)


@contextlib.contextmanager
def _reported(format: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"The exporter of this format cannot write the model: {' '.join(lines[:3])}"
            f" {received(format=format, backend=keras.config.backend())}"
        ) from error
