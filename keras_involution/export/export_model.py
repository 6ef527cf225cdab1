"""Exports a model to a file of another runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.export._draft import check_place, complete
from keras_involution.export._formats import FORMATS, check_can_write, format_of
from keras_involution.export._signature import signature_of


def export_model(
    model: keras.Model,
    path: str | Path,
    format: str | None = None,
    image_size: int | Sequence[int] | None = None,
    batch_size: int | None = None,
    opset_version: int | None = None,
    quantize: str | None = None,
) -> Path:
    """Exports a model to a file that runs without Keras and without this package.

    The exported program takes prepared tensors. Pass images through
    `model.preprocessor` first, or resize them and apply its scale and offset. Every
    involution is written with standard operators of the format; the
    `implementation` of the layer does not matter.

    | format | backends | supports |
    | --- | --- | --- |
    | `"onnx"` | TensorFlow (tf2onnx), PyTorch (onnxscript) | any sizes |
    | `"openvino"` | TensorFlow, PyTorch | any sizes; weights in a separate `.bin` |
    | `"saved_model"` | TensorFlow; JAX with TensorFlow installed | any sizes |
    | `"litert"` | TensorFlow | any sizes; uses no TensorFlow operators |
    | `"litert"` | PyTorch (litert-torch) | fixed sizes only |
    | `"torch"` | PyTorch | any sizes; `torch.export` |
    | `"stablehlo"` | JAX | any sizes; `jax.export` for CPU, GPU and TPU |

    Args:
        model: Functional or sequential Keras model with one input.
        path: Path of the file, or of the folder of a SavedModel. The parent folder must
            exist. A failed export leaves nothing at the path.
        format: String from the table; `None` uses the suffix of the path: `.onnx`,
            `.xml`, `.tflite`, `.pt2`, `.stablehlo`, or no suffix for a SavedModel.
        image_size: Integer or tuple, height and width; `None` keeps the sizes of the
            model, which may be dynamic.
        batch_size: Integer; `None` makes the batch size dynamic.
        opset_version: Integer, version of the ONNX operators; `None` uses the default
            of the backend's exporter.
        quantize: `"int8"` stores the kernels of convolutions and dense layers of a
            LiteRT file as 8-bit integers with one scale for each output channel, which
            is a quarter of the size. Requires TensorFlow. The inputs of these layers
            are rounded to 8 bits for each image at run time. Everything else,
            including the sums of involutions, stays in float32.

    Returns:
        The path.

    Raises:
        ValueError: If the format does not support the model, the sizes, the precision
            or the backend, or does not match the suffix of the path.
        ImportError: If a required library is missing.

    Example:

    ```python
    from keras_involution import RedNet26
    from keras_involution.export import export_model

    model = RedNet26.from_preset("demo/preset")
    export_model(model, "model.onnx", image_size=96)
    ```
    """
    path = Path(path)
    name = format_of(path, format)
    kind = FORMATS[name]
    if path.suffix != kind.suffix:
        ending = (
            f"end with {kind.suffix}" if kind.suffix else "have no suffix: a folder"
        )
        raise ValueError(
            f"The path for this format must {ending}. "
            + received(path=str(path), format=name)
        )
    signature = signature_of(model, image_size, batch_size)
    options = _options(name, opset_version, quantize)
    check_place(path, not kind.suffix)
    check_can_write(name, model, signature)
    # Fewer operations. Only our models: configs of other layers may be incomplete.
    fuse = getattr(model, "fuse_for_inference", None)
    with complete(path, not kind.suffix) as draft:
        kind.write(fuse() if fuse else model, draft, signature, **options)
    return path


def _options(name: str, opset_version: Any, quantize: Any) -> dict[str, Any]:
    """The options of the format other than sizes."""
    options: dict[str, Any] = {}
    if opset_version is not None:
        if name != "onnx":
            raise ValueError(
                "Only ONNX has an `opset_version`. "
                + received(opset_version=opset_version, format=name)
            )
        version = _arguments.positive_integer(opset_version, "opset_version")
        options["opset_version"] = version
    if quantize is not None:
        _arguments.one_of(quantize, (None, "int8"), "quantize")
        backend = keras.config.backend()
        if (name, backend) != ("litert", "tensorflow"):
            raise ValueError(
                "Only LiteRT files written on TensorFlow can be quantized. "
                + received(quantize=quantize, format=name, backend=backend)
            )
        options["quantize"] = quantize
    return options
