"""What int8 weights cost a trained RedNet, and what they save.

What it does: loads a preset that `make demo` has trained on 400 photographs of
caltech101-mini, and classifies the 200 held-out ones in float32, with float16 weights
and after `model.quantize("int8")` of Keras. Prints for each the bytes of the weights on
disk, the accuracy, on how many photographs the answer stays that of float32, and by how
much a logit changes.

How long it takes: about 2 minutes on one core.

What to expect: Keras quantises the layers that hold a matrix, Dense among them, and no
convolution. In a RedNet that is the head alone, `predictions`; all 1x1 convolutions
are convolutions. The answers hardly move, and neither does the size.

The last row is an estimate and no format: every kernel of a 1x1 convolution too is
rounded to int8 with one scale an output channel, as Keras rounds those of Dense, and
used in float32. Its bytes are counted.

Command, from the root of the repository:

    KERAS_BACKEND=torch python -m benchmarks.quantization demo/preset
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from examples._demo import photographs
from keras_involution import RedNet26
from keras_involution._keras_private import flat_layers


@click.command(help="Compare float32, float16 and int8 weights of PRESET.")
@click.argument("preset", type=click.Path(exists=True, file_okay=False))
def main(preset: str) -> None:
    images, labels = photographs.load_photographs("test")
    expected = None
    columns = ("bytes on disk", "accuracy", "same answer", "largest change of a logit")
    table = Table("weights", *columns)
    for name, change in VARIANTS.items():
        model = RedNet26.from_preset(preset)
        size = change(model)
        logits = model.predict(images, verbose=0)
        expected = logits if expected is None else expected
        answers = logits.argmax(-1)
        table.add_row(
            name,
            f"{size:,}",
            f"{np.mean(answers == labels):.3f}",
            f"{np.sum(answers == expected.argmax(-1))} of {len(labels)}",
            f"{np.abs(logits - expected).max():.3f}",
        )
    Console(width=100).print(table)
    print("Quantised by Keras:", ", ".join(quantized_layers(preset)))


def quantized_layers(preset: str) -> list[str]:
    model: Any = RedNet26.from_preset(preset)
    as_int8(model)
    layers = flat_layers(model)
    return [f"{la.name} ({la.count_params():,})" for la in layers if quantized(la)]


def quantized(layer: keras.layers.Layer) -> bool:
    return getattr(layer, "quantization_mode", None) is not None


def as_float32(model: Any) -> int:
    return saved_bytes(model)


def as_float16(model: Any) -> int:
    """Rounds the weights; computing stays in float32."""
    model.set_weights([w.astype("float16").astype(w.dtype) for w in weights_of(model)])
    return saved_bytes(model) - 2 * sum(w.size for w in weights_of(model))


def as_int8(model: Any) -> int:
    with warnings.catch_warnings():
        # Of each layer that has no matrix.
        warnings.filterwarnings("ignore", message=".*does not have a `quantize`")
        model.quantize("int8")
    return saved_bytes(model)


def as_int8_with_pointwise(model: Any) -> int:
    size = as_int8(model)
    for layer in flat_layers(model):
        if type(layer).__name__ != "PointwiseConv2D":
            continue
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        scale = np.maximum(np.abs(kernel).max(axis=(0, 1, 2)) / 127, 1e-12)
        layer.kernel.assign(np.round(kernel / scale) * scale)
        size -= 3 * kernel.size - 4 * scale.size
    return size


def weights_of(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(weight) for weight in model.get_weights()]


def saved_bytes(model: keras.Model) -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.weights.h5"
        model.save_weights(file)
        return file.stat().st_size


VARIANTS: dict[str, Callable[[Any], int]] = {
    "float32": as_float32,
    "float16": as_float16,
    'int8, model.quantize("int8")': as_int8,
    "int8, 1x1 convolutions too (estimate)": as_int8_with_pointwise,
}


if __name__ == "__main__":
    main()
