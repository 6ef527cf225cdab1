"""The formats: what each is called, needs and can hold."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_involution._arguments import one_of, received
from keras_involution.export import _writers


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        title: What it is called in sentences.
        suffix: What its file's name ends with; empty for a folder.
        libraries: Backend -> the libraries that write it there.
        reason: Why the other backends do not write it.
        float32_only: Whether other precisions cannot be written.
        write: `(model, path, signature, opset_version) -> None`.
    """

    title: str
    suffix: str
    libraries: dict[str, tuple[str, ...]]
    reason: str
    float32_only: bool
    write: Callable[[keras.Model, Path, keras.InputSpec, int | None], None]


FORMATS = {
    "onnx": Format(
        title="ONNX",
        suffix=".onnx",
        libraries={
            "tensorflow": ("onnx", "tf2onnx"),
            "torch": ("onnx", "onnxscript"),
        },
        reason="what jax2onnx makes of max pooling is refused by onnxruntime",
        float32_only=True,
        write=_writers.write_onnx,
    ),
    "saved_model": Format(
        title="A TensorFlow SavedModel",
        suffix="",
        libraries={"tensorflow": (), "jax": ("tensorflow",)},
        reason="TensorFlow saves its own programs, and those that jax2tf makes",
        float32_only=False,
        write=_writers.write_saved_model,
    ),
    "litert": Format(
        title="LiteRT",
        suffix=".tflite",
        libraries={"tensorflow": ()},
        reason="its converter reads TensorFlow's programs",
        float32_only=True,
        write=_writers.write_litert,
    ),
    "torch": Format(
        title="A program of torch.export",
        suffix=".pt2",
        libraries={"torch": ()},
        reason="it traces PyTorch's modules",
        float32_only=False,
        write=_writers.write_torch,
    ),
    "stablehlo": Format(
        title="StableHLO",
        suffix=".stablehlo",
        libraries={"jax": ()},
        reason="it is what JAX's programs are made of",
        float32_only=False,
        write=_writers.write_stablehlo,
    ),
}


def format_of(path: Path, name: str | None) -> str:
    """The name of a format, given or read off the suffix of `path`."""
    if name is not None:
        return one_of(name, tuple(FORMATS), "format")
    for name, kind in FORMATS.items():
        if path.suffix == kind.suffix:
            return name
    suffixes = [kind.suffix for kind in FORMATS.values() if kind.suffix]
    raise ValueError(
        f"Name a `format`, or end the path with one of {suffixes}; a name without any "
        f"is a SavedModel. {received(path=str(path))}"
    )


def check_can_write(name: str) -> None:
    """Raises unless the running backend writes this format and has what it takes."""
    kind, backend = FORMATS[name], keras.config.backend()
    if backend not in kind.libraries:
        backends = " or ".join(f"KERAS_BACKEND={b}" for b in kind.libraries)
        raise ValueError(
            f"{kind.title} cannot be written on this backend: {kind.reason}. Save the "
            f"model as a preset and export that under {backends}. "
            + received(format=name, backend=backend)
        )
    libraries = kind.libraries[backend]
    missing = [lib for lib in libraries if importlib.util.find_spec(lib) is None]
    if missing:
        raise ImportError(
            f"{kind.title} is written with {' and '.join(missing)} on this backend; "
            f"`pip install {' '.join(missing)}`. "
            + received(format=name, backend=backend)
        )
