"""Measures the accuracy of a preset on Tiny-ImageNet at several image sizes.

What it does: loads a preset in float32 and classifies the validation images, resized to
each size without cropping. Reports top-1 and top-5 accuracy.

How long it takes: see the last column of the table.

What to expect: a table, and `accuracy_PRESET.json` in `--output`. The model card of a
built-in preset reads its metrics from this file.

Command, from the root of the repository:

    KERAS_BACKEND=torch python -m benchmarks.accuracy rednet_26_tiny_imagenet \
        --data tiny-imagenet-200 --output benchmarks/results
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks._measure import devices, report
from keras_involution import RedNetImageClassifier
from keras_involution._measure import machine
from keras_involution.data import decode, open_collection
from keras_involution.training.classifier.metrics import (
    classification_metrics,
    scores_of,
)

COLUMNS = ("image_size", "images", "top_1", "top_5", "seconds")
COMMAND = "python -m benchmarks.accuracy {preset} --data {data}"


def measure(arguments: argparse.Namespace) -> Iterator[report.Row]:
    model = RedNetImageClassifier.from_preset(arguments.preset, dtype="float32")
    found = decode(
        lambda: open_collection(arguments.data),
        arguments.cache,
        lambda collection: collection.side or max(arguments.sizes),
    )
    rows = found.rows(arguments.part)[:: arguments.every]
    for size in arguments.sizes:
        began = time.perf_counter()
        scores = scores_of(model, found.data.images, rows, size, 100)
        metrics = classification_metrics(scores, found.data.labels[rows])
        seconds = round(time.perf_counter() - began, 1)
        row = {"image_size": size, "images": len(rows), **metrics, "seconds": seconds}
        print(report.table([row], COLUMNS), flush=True)
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("preset")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("build/tiny_imagenet"))
    parser.add_argument("--sizes", nargs="*", type=int, default=(48, 64, 96, 128))
    parser.add_argument("--part", default="test", help="split of the dataset to use")
    parser.add_argument("--every", type=int, default=1, help="use every N-th image")
    parser.add_argument("--output", type=Path, help="folder for the JSON file")
    arguments = parser.parse_args()
    head = machine.describe(devices.open_device("cpu"))
    head["command"] = COMMAND.format(
        preset=Path(arguments.preset).name, data=arguments.data.name
    )
    report.print_head(head)
    rows = list(measure(arguments))
    if arguments.output:
        name = f"accuracy_{Path(arguments.preset).name}.json"
        report.write_json(arguments.output / name, head, rows)


if __name__ == "__main__":
    main()
