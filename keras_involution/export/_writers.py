"""What writes each format: Keras where it can, the backend where it cannot."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from keras_involution._arguments import received
from keras_involution.export._signature import open_axes

# Images large enough for every window and every stage, and no two sizes alike: PyTorch
# would take those for one.
_EXAMPLE_SIZES = (2, 101, 75, 51, 35)

# What exporters warn of in their own code and in that of Keras.
_FOREIGN_WARNINGS = (
    "Converting a tensor to a Python",
    "torch.as_tensor results are registered as constants",
    "torch.tensor results are registered as constants",
    "Constant folding - Only steps=1",
)


def write_onnx(
    model: keras.Model,
    path: Path,
    signature: keras.InputSpec,
    opset_version: int | None,
) -> None:
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if opset_version is not None and opset_version > newest:
        raise ValueError(
            f"The newest opset that the installed onnx knows is {newest}. "
            + received(opset_version=opset_version)
        )
    _export(model, path, "onnx", signature, opset_version=opset_version)
    program = onnx.load(path)
    for node in program.graph.node:
        # Where PyTorch keeps the lines of code, with the folders of this machine.
        del node.metadata_props[:]
    onnx.save(program, path)
    with _reported("onnx"):
        onnx.checker.check_model(path)
    written = _opset(path)
    if opset_version not in (None, written):
        raise ValueError(
            f"The exporter of this backend wrote the opset {written} instead. "
            + received(opset_version=opset_version, backend=keras.config.backend())
        )


def write_saved_model(
    model: keras.Model,
    path: Path,
    signature: keras.InputSpec,
    opset_version: int | None,
) -> None:
    # TensorFlow cannot follow the gradients of a JAX program when it saves it.
    if keras.config.backend() == "jax":
        options = {"jax2tf_kwargs": {"with_gradient": False}}
        with _without_places():
            _export(model, path, "tf_saved_model", signature, **options)
    else:
        _export(model, path, "tf_saved_model", signature)


def write_litert(
    model: keras.Model,
    path: Path,
    signature: keras.InputSpec,
    opset_version: int | None,
) -> None:
    import tensorflow as tf

    # Its own operators alone: others would need TensorFlow beside the runtime.
    operators = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    _export(model, path, "litert", signature, target_spec=operators)


def write_torch(
    model: keras.Model,
    path: Path,
    signature: keras.InputSpec,
    opset_version: int | None,
) -> None:
    import torch

    axes = open_axes(signature)
    sizes = zip(signature.shape, _EXAMPLE_SIZES)
    # Keras's own example of an open size is 2, an image of 2x2 pixels.
    example = keras.InputSpec(
        shape=tuple(example if size is None else size for size, example in sizes),
        dtype=signature.dtype,
        name=signature.name,
    )
    dynamic = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    with torch.no_grad():
        _export(model, path, "torch", example, dynamic_shapes=dynamic or None)
    program = torch.export.load(path)
    for node in program.graph.nodes:
        # The lines of code that led there, with the folders of this machine.
        node.meta.pop("stack_trace", None)
    torch.export.save(program, path)


def write_stablehlo(
    model: keras.Model,
    path: Path,
    signature: keras.InputSpec,
    opset_version: int | None,
) -> None:
    import jax

    names = ("b", "d0", "d1", "d2", "c")
    sizes = [name if n is None else str(n) for n, name in zip(signature.shape, names)]
    shape = jax.export.symbolic_shape(", ".join(sizes))
    with _reported("stablehlo"), _without_places():
        program = jax.export.export(
            jax.jit(lambda inputs: model(inputs, training=False)),
            platforms=("cpu", "cuda", "rocm", "tpu"),
        )(jax.ShapeDtypeStruct(shape, signature.dtype))
        path.write_bytes(program.serialize())


@contextlib.contextmanager
def _without_places() -> Iterator[None]:
    """What JAX traces does not name the lines of code, and folders, it came from."""
    import jax

    setting = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, setting)
    jax.config.update(setting, 0)
    try:
        yield
    finally:
        jax.config.update(setting, before)


def _export(
    model: Any, path: Path, format: str, signature: keras.InputSpec, **options: Any
) -> None:
    # On PyTorch the model is a module, which exporters switch to evaluation.
    was_training = getattr(model, "training", None)
    try:
        with _reported(format), warnings.catch_warnings():
            for category in (DeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", category)
            for message in _FOREIGN_WARNINGS:
                warnings.filterwarnings("ignore", message=message)
            # Keras would print where the file is: a temporary name.
            options = {**options, "verbose": False, "input_signature": [signature]}
            model.export(path, format=format, **options)
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


def _opset(path: Path) -> int:
    import onnx

    imports = onnx.load(path, load_external_data=False).opset_import
    return next(entry.version for entry in imports if entry.domain in ("", "ai.onnx"))
