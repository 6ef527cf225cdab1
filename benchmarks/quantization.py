"""Compares a preset in float32 with quantized versions.

What it does: classifies the 200 held-out photos of caltech101-mini with the preset in
float32, quantized in Keras, and exported to LiteRT with and without quantization. Files
with integer activations are calibrated on 100 training photos. For each version, it
prints the bytes on disk, the number of photos with the same prediction as in float32,
the signal-to-noise ratio of the logits, and the CPU time per photo, one at a time.

How long it takes: about 20 minutes on one core, most of it in the TensorFlow converter.

What to expect: 8-bit kernels alone take a quarter of the bytes and change hardly any
prediction. If all activations have 8 bits, most predictions change, because LiteRT
rounds after every product and every sum of an involution. 16 bits are sufficient for
activations.

Command, from the root of the repository:

    KERAS_BACKEND=tensorflow python -m benchmarks.quantization rednet_26_tiny_imagenet
"""

from __future__ import annotations

import functools
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from examples._demo import photos
from keras_involution import RedNet26
from keras_involution.export import export_model

# Function that quantizes or exports a model. It returns the bytes on disk and a
# function that predicts one photo.
Variant = Callable[[Any, Path, np.ndarray], tuple[int, Callable[[np.ndarray], Any]]]


@click.command(help="Compare float32 with fewer bits in PRESET.")
@click.argument("preset")
@click.option("--only", multiple=True, help="Variant to run in addition to float32.")
def main(preset: str, only: tuple[str, ...]) -> None:
    prepare = RedNet26.from_preset(preset).preprocessor
    images, examples = prepared(prepare, "test", 200), prepared(prepare, "train", 100)
    expected = None
    columns = ("bytes on disk", "same answer", "logits, dB", "ms a photo")
    table = Table("variant", *columns)
    for name, variant in VARIANTS.items():
        if only and expected is not None and name not in only:
            continue
        model: Any = RedNet26.from_preset(preset)
        with tempfile.TemporaryDirectory() as folder:
            size, predict = variant(model, Path(folder), examples)
            predict(images[:1])
            start = time.process_time()
            logits = np.concatenate([predict(image[None]) for image in images])
            milliseconds = 1e3 * (time.process_time() - start) / len(images)
        expected = logits if expected is None else expected
        same = np.sum(logits.argmax(-1) == expected.argmax(-1))
        table.add_row(
            name,
            f"{size:,}",
            f"{same} of {len(images)}",
            f"{decibels(expected, logits):.1f}",
            f"{milliseconds:.0f}",
        )
        print(*(list(column.cells)[-1] for column in table.columns), flush=True)
    Console(width=100).print(table)


def prepared(prepare: Any, split: str, count: int) -> np.ndarray:
    """Returns `count` prepared photos, spread over all classes."""
    images, _ = photos.load_photos(split)
    chosen = images[:: len(images) // count][:count]
    return keras.ops.convert_to_numpy(prepare(chosen)).astype("float32")


def decibels(expected: np.ndarray, actual: np.ndarray) -> float:
    """Returns the signal-to-noise ratio of the logits, centered per photo."""
    noise = actual - expected
    signal, noise = (x - x.mean(-1, keepdims=True) for x in (expected, noise))
    power = np.square(noise).sum()
    return 10 * np.log10(np.square(signal).sum() / power) if power else np.inf


def in_keras(
    change: Callable[[Any], None], model: Any, folder: Path, examples: np.ndarray
) -> tuple[int, Callable]:
    with warnings.catch_warnings():
        # Keras warns about every layer without a kernel.
        warnings.filterwarnings("ignore", message=".*does not have a `quantize`")
        change(model)
    model.save(folder / "model.keras")
    size = (folder / "model.keras").stat().st_size
    return size, functools.partial(model.predict, verbose=0)


def in_litert(
    write: Callable[[Any, Path, np.ndarray], object],
    model: Any,
    folder: Path,
    examples: np.ndarray,
) -> tuple[int, Callable]:
    import tensorflow as tf

    path = folder / "model.tflite"
    write(model, path, examples)
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    [given], [found] = interpreter.get_input_details(), interpreter.get_output_details()

    def predict(image: np.ndarray) -> Any:
        interpreter.set_tensor(given["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])

    return path.stat().st_size, predict


def integers(operators: str, model: Any, path: Path, examples: np.ndarray) -> None:
    """Exports with integer activations, with the export of Keras."""
    import tensorflow as tf

    def photos_one_by_one() -> Iterator[list[np.ndarray]]:
        for image in examples:
            yield [image[None]]

    shape = (1, *examples.shape[1:])
    model.fuse_for_inference().export(
        path,
        "litert",
        verbose=False,
        input_signature=[keras.InputSpec(shape=shape, dtype="float32")],
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=photos_one_by_one,
        target_spec={"supported_ops": [tf.lite.OpsSet[operators]]},
    )


def exported(quantize: str | None, model: Any, path: Path, examples: Any) -> None:
    sizes = {"image_size": examples.shape[1:3], "batch_size": 1}
    export_model(model, path, quantize=quantize, **sizes)


_SIXTEEN = "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"
VARIANTS: dict[str, Variant] = {
    name: functools.partial(kind, function)
    for name, kind, function in (
        ("Keras, float32", in_keras, lambda model: None),
        (
            'Keras, model.quantize("int8")',
            in_keras,
            lambda model: model.quantize("int8"),
        ),
        ("LiteRT, float32", in_litert, functools.partial(exported, None)),
        ('LiteRT, quantize="int8"', in_litert, functools.partial(exported, "int8")),
        ("LiteRT, integers, 16 bits", in_litert, functools.partial(integers, _SIXTEEN)),
        (
            "LiteRT, integers, 8 bits",
            in_litert,
            functools.partial(integers, "TFLITE_BUILTINS_INT8"),
        ),
    )
}


if __name__ == "__main__":
    main()
