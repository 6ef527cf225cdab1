"""`keras-involution export`: exports a preset for another runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.cli._images import image_files, read

if TYPE_CHECKING:
    import numpy as np

FORMATS = ("onnx", "openvino", "saved_model", "litert", "torch", "stablehlo")


@cloup.command(cls=Command)
@click.argument("preset")
@click.argument("output", type=click.Path())
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    help="Format of OUTPUT; by default, its suffix decides.",
)
@click.option(
    "--image-size",
    default="any",
    metavar="N|HxW|any",
    help="Height and width in pixels; any for dynamic sizes.",
)
@click.option(
    "--batch-size",
    default="any",
    metavar="N|any",
    help="Images per call; any for a dynamic size.",
)
@click.option(
    "--quantize",
    type=click.Choice(("int8",)),
    help="Store 8-bit kernels in a LiteRT file, a quarter of its size.",
)
@click.option(
    "--check",
    "image_path",
    metavar="IMAGE|FOLDER",
    type=click.Path(exists=True, path_type=Path),
    help="Image or folder for the comparison with Keras, instead of random values.",
)
def command(
    preset: str,
    output: str,
    format: str | None,
    image_size: str,
    batch_size: str,
    quantize: str | None,
    image_path: Path | None,
) -> None:
    """Write PRESET as OUTPUT: ONNX (.onnx), OpenVINO (.xml), LiteRT (.tflite),
    torch.export (.pt2), StableHLO (.stablehlo) or a SavedModel (a folder).

    The available formats depend on KERAS_BACKEND. The command runs OUTPUT in the
    runtime of its format and compares the outputs with those of Keras.
    """
    with reported():
        sizes = _sizes(image_size, "image-size")
        batch = _sizes(batch_size, "batch-size")
        from keras_involution.export import export_model
        from keras_involution.models import RedNetImageClassifier

        model: Any = RedNetImageClassifier.from_preset(preset)
        try:
            path = export_model(
                model,
                output,
                format,
                sizes,
                batch[0] if batch else None,
                quantize=quantize,
            )
        except ImportError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"{path}: {_bytes(path) / 1e6:.1f} MB")
        _compare(model, path, sizes, batch, image_path)


def _sizes(text: str, option: str) -> tuple[int, ...] | None:
    """Parses `any` as `None`, `96` as (96, 96) or (96,), `96x128` as (96, 128)."""
    if text == "any":
        return None
    sides = text.split("x")
    limit = 2 if option == "image-size" else 1
    if len(sides) > limit or not all(s.isdecimal() and int(s) for s in sides):
        raise click.UsageError(f"--{option} takes numbers or `any`, not {text!r}.")
    sizes = tuple(int(side) for side in sides)
    return sizes * 2 if limit == 2 and len(sizes) == 1 else sizes


def _compare(
    model: Any,
    path: Path,
    sizes: tuple[int, ...] | None,
    batch: tuple[int, ...] | None,
    image_path: Path | None,
) -> None:
    """Prints the largest difference to the outputs of Keras."""
    import numpy as np

    from keras_involution.export import run_exported

    expected, actual = [], []
    for inputs in _inputs(model, sizes, image_path):
        inputs = inputs.repeat((batch or (1,))[0], axis=0)
        try:
            actual.append(run_exported(path, inputs)[0])
        except ImportError as error:
            click.echo(f"Not compared with Keras. {error}")
            return
        expected.append(model.predict(inputs, verbose=0)[0])
    scores, keras_scores = np.stack(actual), np.stack(expected)
    difference = np.abs(scores - keras_scores).max()
    click.echo(f"largest difference to Keras: {difference:.1e}")
    if image_path is not None:
        same = np.sum(scores.argmax(-1) == keras_scores.argmax(-1))
        click.echo(f"same class as Keras: {same} of {len(scores)} images")


def _inputs(
    model: Any, sizes: tuple[int, ...] | None, image_path: Path | None
) -> Iterator[np.ndarray]:
    """Yields prepared images, each (1, H, W, 3) or (1, 3, H, W)."""
    import numpy as np

    from keras_involution.models import RedNetImageConverter

    converter = model.preprocessor
    if sizes is not None:
        config = {**converter.get_config(), "image_size": sizes}
        converter = RedNetImageConverter.from_config(config)
    shape = (*(converter.image_size or (224, 224)), 3)
    images: Iterable[np.ndarray] = (
        [np.random.default_rng(0).integers(0, 256, shape, "uint8")]
        if image_path is None
        else map(read, image_files(image_path))
    )
    for image in images:
        if converter.data_format == "channels_first":
            image = np.ascontiguousarray(image.transpose(2, 0, 1))
        yield np.asarray(converter(image[None]))


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
