"""What weights and activations of fewer bits cost a trained RedNet, and what they save.

What it does: classifies the 200 held-out photos of caltech101-mini with a preset,
as it is and quantized: in Keras, and in LiteRT files, those with integer activations
calibrated on 100 training photos. Prints for each the bytes on disk, on how many
photos the answer stays that of float32, the ratio of signal to noise of the
logits, and the processor time of a photo, one at a time.

How long it takes: about 20 minutes on one core, most of it in TensorFlow's converter.

What to expect: with kernels of 8 bits alone a quarter of the bytes, and hardly another
answer. With all activations in 8 bits, which LiteRT rounds after every product and
every sum of an involution, most answers change; 16 bits are enough for them.

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

# Changes a model or writes a file; the bytes on disk and a function of one photo.
Variant = Callable[[Any, Path, np.ndarray], tuple[int, Callable[[np.ndarray], Any]]]


@click.command(help="Compare float32 with fewer bits in PRESET.")
@click.argument("preset")
@click.option("--only", multiple=True, help="A row; float32 always comes first.")
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
    """So many photos of all classes, as the network takes them."""
    images, _ = photos.load_photos(split)
    chosen = images[:: len(images) // count][:count]
    return keras.ops.convert_to_numpy(prepare(chosen)).astype("float32")


def decibels(expected: np.ndarray, actual: np.ndarray) -> float:
    """Of the differences between the logits of a photo, which make the answer."""
    noise = actual - expected
    signal, noise = (x - x.mean(-1, keepdims=True) for x in (expected, noise))
    power = np.square(noise).sum()
    return 10 * np.log10(np.square(signal).sum() / power) if power else np.inf


def in_keras(
    change: Callable[[Any], None], model: Any, folder: Path, examples: np.ndarray
) -> tuple[int, Callable]:
    with warnings.catch_warnings():
        # Of each layer that has no matrix.
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
    """By Keras's own export, as TensorFlow documents it."""
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
