"""Measures top-1 and top-5 accuracy on a folder of ImageNet images.

The folder has one subfolder per class, named by WordNet id
(`n01440764/ILSVRC2012_val_00000293.JPEG`), for all 1,000 classes or some of them.
Images are prepared as published: the shorter side is resized bilinearly to 256, and the
central 224 x 224 is cropped. For RedNet-50 on the whole validation set, expect the
published 78.3 and 94.2 %. 50,000 images take hours on a CPU. The predictions are saved
in `--output`, so the same command continues after an interruption:

    KERAS_BACKEND=torch python -m benchmarks.imagenet imagenet/val \
        --preset rednet_50_imagenet --output imagenet_val.csv
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks._cards.imagenet import imagenet_classes

COLUMNS = ("preset", "image", "label", *(f"answer_{k}" for k in range(1, 6)))
SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")


@click.command(help=__doc__.splitlines()[0])
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option("--preset", default="rednet_50_imagenet", show_default=True)
@click.option("--output", default="imagenet.csv", show_default=True)
@click.option("--batch-size", default=32, show_default=True)
@click.option("--mirror", help="As in `from_preset`.")
def main(
    folder: str, preset: str, output: str, batch_size: int, mirror: str | None
) -> None:
    images = labeled_images(Path(folder))
    if not images:
        raise click.UsageError(f"{folder} has no folder named after an ImageNet class.")
    known = answers(Path(output), preset)
    missing = [(path, label) for path, label in images if path not in known]
    click.echo(f"{len(images)} images, {len(images) - len(missing)} already predicted")
    if missing:
        answer(Path(folder), missing, preset, Path(output), batch_size, mirror)
    result = accuracy(images, answers(Path(output), preset))
    click.echo(json.dumps({"preset": preset, "images": len(images), **result}))


def labeled_images(folder: Path) -> list[tuple[str, int]]:
    """Returns (relative path, class number) of every image, sorted by path."""
    numbers = {wnid: number for number, wnid in enumerate(imagenet_classes())}
    return [
        (path.relative_to(folder).as_posix(), numbers[place.name])
        for place in sorted(folder.iterdir())
        if place.name in numbers
        for path in sorted(place.iterdir())
        if path.suffix.lower() in SUFFIXES
    ]


def answers(output: Path, preset: str) -> dict[str, list[int]]:
    """Reads complete rows: maps each image to its five predictions, best first."""
    if not output.is_file():
        return {}
    with output.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == len(COLUMNS)]
    return {row[1]: [int(cell) for cell in row[3:]] for row in rows if row[0] == preset}


def answer(
    folder: Path,
    images: Sequence[tuple[str, int]],
    preset: str,
    output: Path,
    batch_size: int,
    mirror: str | None,
) -> None:
    """Predicts images and appends the five best classes to a table, by batches."""
    import keras

    from keras_involution import RedNetImageClassifier
    from keras_involution.data import read_image

    model: Any = RedNetImageClassifier.from_preset(preset, mirror=mirror)
    network = keras.Model(model.inputs, model.outputs)
    begins = not output.is_file()
    with output.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS) if begins else file.write("\n")
        for batch in batches(images, batch_size):
            pixels = [read_image(folder / path) for path, _ in batch]
            prepared = keras.ops.convert_to_numpy(model.preprocessor(pixels))
            order = (-network.predict(prepared, verbose=0)).argsort(-1)[:, :5]
            for (path, label), row in zip(batch, order.tolist()):
                writer.writerow([preset, path, label, *row])
            file.flush()


def batches(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(values), size):
        yield values[begin : begin + size]


def accuracy(
    images: Sequence[tuple[str, int]], found: dict[str, list[int]]
) -> dict[str, float]:
    """Returns top-1 and top-5 accuracy in percent."""
    return {
        f"top_{k}": round(
            100 * sum(label in found[path][:k] for path, label in images) / len(images),
            2,
        )
        for k in (1, 5)
    }


if __name__ == "__main__":
    main()
