"""Measures the benefit of pretrained weights on other data.

What it does: compares a RedNet from a preset with a RedNet and a ResNet baseline from
random weights. Each is tested as a linear probe and after training the whole network.
The result is the mean accuracy over the classes on the test photos.

The split of the dataset is used if there is one. With `--per-class`, a new random split
is drawn for each seed, with a number of training photos and at most a number of test
photos per class. A linear probe is a softmax on the pooled features of the frozen
network, averaged over a photo and its mirror image. Its weight decay is chosen on a
fifth of the training photos. The whole network is trained as in the demo. All networks
use the same learning rate, which was chosen on a part of the training set of
caltech101-mini.

How long it takes: see the seconds in each row.

What to expect: a row per run, the means over the seeds, and `transfer_DATA.json` in
`--output`.

Commands, from the root of the repository, for the photos in `examples/data` and for a
file of sheets:

    KERAS_BACKEND=torch python -m benchmarks.transfer --preset rednet_26_tiny_imagenet
    KERAS_BACKEND=torch python -m benchmarks.transfer --preset rednet_26_tiny_imagenet \
        --data caltech101-128.npz --leave-out BACKGROUND_Google Faces Faces_easy \
        --per-class 30 50
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks._measure import devices, probes, report
from benchmarks._measure.starts import STARTS, build
from examples._demo import photos, training
from keras_involution import RedNetImageClassifier
from keras_involution._measure import machine
from keras_involution.data import (
    LabeledImages,
    decode,
    open_collection,
    split_by_counts,
)
from keras_involution.training.classifier.metrics import classification_metrics

COLUMNS = ("start", "trained", "seed", "epochs", "mean class accuracy", "seconds")
SHIPPED = photos.DATA / "caltech101-mini"
Rows = tuple[np.ndarray, np.ndarray]
"""Row numbers of the training and the test photos."""


def load(arguments: argparse.Namespace) -> tuple[LabeledImages, list[str], list[Rows]]:
    """Loads the photos, the names of their classes, and the split of each seed."""
    collection = open_collection(arguments.data, arguments.leave_out)
    with tempfile.TemporaryDirectory() as folder:
        found = decode(
            lambda: collection,
            Path(folder) / "cache",
            lambda found: found.side or 2 * arguments.image_size,
        )
        images = LabeledImages(np.array(found.data.images), found.data.labels)
    counts = dict(zip(("train", "test"), arguments.per_class or (30, 50)))
    drawn = arguments.per_class or "test" not in collection.official_splits
    whole = dataclasses.replace(
        collection, official_splits=[""] * len(collection.names)
    )
    rows = []
    for seed in arguments.seeds:
        parts = np.array(
            split_by_counts(whole, counts, seed)
            if drawn
            else collection.official_splits
        )
        rows.append((np.flatnonzero(parts == "train"), np.flatnonzero(parts == "test")))
    return images, collection.class_names, rows


def measure(arguments: argparse.Namespace) -> Iterator[report.Row]:
    images, names, parts = load(arguments)
    for seed, rows in zip(arguments.seeds, parts):
        labels = images.labels[rows[1]]
        for start in arguments.starts:
            for way in arguments.ways:
                began = time.perf_counter()
                size, depth = arguments.image_size, arguments.depth
                model = build(start, arguments.preset, depth, size, names, seed)
                scores = WAYS[way](model, images, rows, arguments.epochs, seed)
                found = classification_metrics(scores, labels)
                yield {
                    "start": start,
                    "trained": way,
                    "seed": seed,
                    "epochs": arguments.epochs if way == "whole" else None,
                    "mean class accuracy": found["mean_per_class"],
                    "seconds": time.perf_counter() - began,
                }


def by_probe(
    model: RedNetImageClassifier, images: LabeledImages, rows: Rows, *_: int
) -> np.ndarray:
    """Trains a linear probe; returns the logits of the test photos."""
    train, _ = rows
    features = probes.features(model, images.images[np.concatenate(rows)])
    ours, others = features[: len(train)], features[len(train) :]
    return probes.predict(ours, images.labels[train], others)


def by_training(
    model: RedNetImageClassifier,
    images: LabeledImages,
    rows: Rows,
    epochs: int,
    seed: int,
) -> np.ndarray:
    """Trains the whole network; returns the logits of the test photos."""
    train, test = rows
    images, labels = images
    training.train(model, images[train], labels[train], epochs, seed)
    return probes.logits(model, images[test])


WAYS = {"probe": by_probe, "whole": by_training}


def means(rows: list[report.Row]) -> list[report.Row]:
    """Returns mean and standard deviation over the seeds."""
    together: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        key = row["start"], row["trained"]
        together.setdefault(key, []).append(row["mean class accuracy"])
    return [
        {
            "start": start,
            "trained": way,
            "seeds": len(values),
            "mean class accuracy": round(float(np.mean(values)), 4),
            "standard deviation": round(float(np.std(values, ddof=len(values) > 1)), 4),
        }
        for (start, way), values in together.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", required=True)
    parser.add_argument("--depth", type=int, default=26, help="of random networks")
    parser.add_argument(
        "--data", type=Path, default=SHIPPED, help="as for `keras-involution train`"
    )
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="CLASS")
    parser.add_argument(
        "--per-class", nargs=2, type=int, metavar=("TRAIN", "TEST"),
        help="new random split for each seed; default: that of the dataset, or 30 50",
    )  # fmt: skip
    parser.add_argument("--seeds", nargs="*", type=int, default=(0, 1, 2))
    parser.add_argument("--starts", nargs="*", choices=STARTS, default=STARTS)
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--output", type=Path, help="folder for the JSON file")
    arguments = parser.parse_args()
    head = machine.describe(devices.open_device("cpu"))
    head |= {"preset": Path(arguments.preset).name, "size": arguments.image_size}
    report.print_head(head)
    rows = []
    for row in measure(arguments):
        rows.append(row)
        print(report.table([row], COLUMNS), flush=True)
    print(report.table(means(rows), list(means(rows)[0])))
    if arguments.output:
        path = arguments.output / f"transfer_{arguments.data.stem}.json"
        report.write_json(path, head, rows + means(rows))


if __name__ == "__main__":
    main()
