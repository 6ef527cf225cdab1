"""The accuracy of a preset on pictures that it was not trained on, size by size.

What it does: loads a preset in float32, shows it the validation pictures of a
Tiny-ImageNet pack, whole and stretched to each size, and counts how often the right
class comes first, and among the first five.

How long it takes: a minute for the 10,000 pictures at 64 pixels on two cores, twelve
at 224.

What to expect: a table, and `accuracy_PRESET.json` in `--output`, which the card of a
built-in preset takes its figures from.

Command, from the root of the repository:

    KERAS_BACKEND=torch python -m benchmarks.accuracy rednet_26_tiny_imagenet \
        --data tiny-imagenet-200 --output benchmarks/results
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from examples._training.tiny_imagenet import load_split

from benchmarks._measure import devices, machine, report
from examples._training.batches import held_out_batches
from keras_involution import RedNetImageClassifier

COLUMNS = ("image_size", "pictures", "top_1", "top_5")
COMMAND = "python -m benchmarks.accuracy {preset} --data tiny-imagenet-200"


def accuracies(
    model: RedNetImageClassifier, images: np.ndarray, labels: np.ndarray, size: int
) -> report.Row:
    """One row: shares of pictures (N, H, W, 3) whose class is first, or of five."""
    scores = np.concatenate(
        [
            keras.ops.convert_to_numpy(model.predict_on_batch(batch))
            for batch in held_out_batches(images, size, 100)
        ]
    )
    own = scores[np.arange(len(labels)), labels]
    ranks = (scores > own[:, None]).sum(-1)
    return {
        "image_size": size,
        "pictures": len(labels),
        "top_1": float((ranks == 0).mean()),
        "top_5": float((ranks < 5).mean()),
    }


def measure(arguments: argparse.Namespace) -> Iterator[report.Row]:
    model = RedNetImageClassifier.from_preset(arguments.preset, dtype="float32")
    images, labels = load_split(arguments.data, "val", arguments.cache)
    for size in arguments.sizes:
        step = arguments.every
        row = accuracies(model, images[::step], labels[::step], size)
        print(report.table([row], COLUMNS), flush=True)
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("preset")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("build/tiny_imagenet"))
    parser.add_argument("--sizes", nargs="*", type=int, default=(48, 64, 96))
    parser.add_argument("--every", type=int, default=1, help="of how many pictures one")
    parser.add_argument("--output", type=Path, help="a folder for JSON")
    arguments = parser.parse_args()
    head = machine.describe(devices.open_device("cpu"))
    head["command"] = COMMAND.format(preset=Path(arguments.preset).name)
    report.print_head(head)
    rows = list(measure(arguments))
    if arguments.output:
        name = f"accuracy_{Path(arguments.preset).name}.json"
        report.write_json(arguments.output / name, head, rows)


if __name__ == "__main__":
    main()
