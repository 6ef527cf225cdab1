"""The export formats, with their libraries and limitations."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_involution._arguments import one_of, received
from keras_involution._keras_private import flat_layers
from keras_involution.export import _writers
from keras_involution.export._signature import open_axes


@dataclass(frozen=True)
class Format:
    """An export format.

    Args:
        title: String, the name of the format in messages.
        suffix: String, the suffix of the file; empty for a folder.
        libraries: Dictionary of backend -> tuple of the libraries that it needs.
        reason: String, why the other backends cannot write the format.
        write: Function `(model, path, signature, **options) -> None`.
        float32_only: Boolean, whether only float32 models can be written.
        sized_on: String, the backend that supports only fixed sizes, or `None`.
    """

    title: str
    suffix: str
    libraries: dict[str, tuple[str, ...]]
    reason: str
    write: Callable[..., None]
    float32_only: bool = False
    sized_on: str | None = None


FORMATS = {
    "onnx": Format(
        title="ONNX",
        suffix=".onnx",
        libraries={"tensorflow": ("onnx", "tf2onnx"), "torch": ("onnx", "onnxscript")},
        reason="onnxruntime rejects the max pooling that jax2onnx writes",
        write=_writers.write_onnx,
        float32_only=True,
    ),
    "openvino": Format(
        title="OpenVINO",
        suffix=".xml",
        libraries={"tensorflow": ("openvino",), "torch": ("openvino",)},
        reason="OpenVINO does not read the StableHLO of JAX programs",
        write=_writers.write_openvino,
        float32_only=True,
    ),
    "saved_model": Format(
        title="A TensorFlow SavedModel",
        suffix="",
        libraries={"tensorflow": (), "jax": ("tensorflow",)},
        reason="TensorFlow saves only its own programs and those of jax2tf",
        write=_writers.write_saved_model,
    ),
    "litert": Format(
        title="LiteRT",
        suffix=".tflite",
        libraries={"tensorflow": (), "torch": ("litert_torch",)},
        reason="its converters read only TensorFlow and PyTorch programs",
        write=_writers.write_litert,
        float32_only=True,
        sized_on="torch",
    ),
    "torch": Format(
        title="A torch.export program",
        suffix=".pt2",
        libraries={"torch": ()},
        reason="torch.export traces PyTorch modules",
        write=_writers.write_torch,
    ),
    "stablehlo": Format(
        title="StableHLO",
        suffix=".stablehlo",
        libraries={"jax": ()},
        reason="only JAX compiles models to StableHLO here",
        write=_writers.write_stablehlo,
    ),
}


def format_of(path: Path, name: str | None) -> str:
    """The name of a format: `name`, or the format with the suffix of `path`."""
    if name is not None:
        return one_of(name, tuple(FORMATS), "format")
    for name, kind in FORMATS.items():
        if path.suffix == kind.suffix:
            return name
    suffixes = [kind.suffix for kind in FORMATS.values() if kind.suffix]
    raise ValueError(
        f"Pass `format`, or end the path with one of {suffixes}; a path without suffix "
        f"is a SavedModel. {received(path=str(path))}"
    )


def check_can_write(name: str, model: keras.Model, spec: keras.InputSpec) -> None:
    """Raises an error if the current backend cannot write the model in this format."""
    kind, backend = FORMATS[name], keras.config.backend()
    what = received(format=name, backend=backend)
    if backend not in kind.libraries:
        backends = " or ".join(f"KERAS_BACKEND={b}" for b in kind.libraries)
        raise ValueError(
            f"{kind.title} cannot be written on this backend: {kind.reason}. Save the "
            f"model as a preset and export that under {backends}. {what}"
        )
    libraries = kind.libraries[backend]
    missing = [lib for lib in libraries if importlib.util.find_spec(lib) is None]
    if missing:
        pip = " ".join(missing).replace("_", "-")
        others = [
            f"KERAS_BACKEND={b}" for b, need in kind.libraries.items() if not need
        ]
        raise ImportError(
            f"{kind.title} needs {' and '.join(missing)} on this backend. Run "
            f"`pip install {pip}`{', or ' + others[0] if others else ''}. {what}"
        )
    if backend == kind.sized_on and open_axes(spec):
        raise ValueError(
            f"{kind.title} supports only fixed sizes on this backend; pass "
            f"`image_size` and `batch_size`. {received(shape=spec.shape)} {what}"
        )
    dtypes = {layer.compute_dtype for layer in flat_layers(model)} - {None}
    if kind.float32_only and dtypes - {"float32"}:
        raise ValueError(
            f"{kind.title} supports only float32; load the model with "
            f"`dtype='float32'`. {received(format=name, dtypes=sorted(dtypes))}"
        )
