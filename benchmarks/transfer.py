"""What pretrained weights are worth on other data: probes and fine-tuning.

What it does: parts the photographs at random, so many of each class to train on and at
most so many to test on, once a seed. From the preset and from random weights it trains
a linear probe (a softmax on the pooled features of the frozen network, of a photograph
and its mirror image) and the whole network, and prints the mean accuracy of the classes
on the photographs to test on. The weight decay of a probe is chosen on a fifth of the
photographs to train on. The whole network is trained as the demo does, from either
start at the same rate, which was chosen on a part of caltech101-mini's training set.

How long it takes: a probe seconds, the whole network on 2,970 photographs of 48 pixels
half a minute an epoch on two cores.

What to expect: a row a run, the means over the seeds, and `transfer_DATA.json` in
`--output`.

Command, from the root of the repository, on the photographs that come with it or on a
file of sheets:

    KERAS_BACKEND=torch python -m benchmarks.transfer --preset rednet_26_tiny_imagenet
    KERAS_BACKEND=torch python -m benchmarks.transfer --preset rednet_26_tiny_imagenet \
        --data caltech101-128.npz --leave-out BACKGROUND_Google Faces Faces_easy
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks._measure import devices, machine, probes, report
from examples._demo import photographs, training
from examples._training.cache import decode
from examples._training.datasets import open_collection
from keras_involution import RedNetImageClassifier

COLUMNS = ("start", "trained", "seed", "epochs", "mean class accuracy", "seconds")
STARTS = ("preset", "random")


def load(arguments: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, Any]:
    """Photographs (N, H, W, 3), class numbers (N,), and whether to test on each one.

    The last is `None` where the parts are to be drawn.
    """
    if arguments.data is None:
        parts = [photographs.load_photographs(split) for split in ("train", "test")]
        images, labels = (np.concatenate(arrays) for arrays in zip(*parts))
        return images, labels, np.arange(len(labels)) >= len(parts[0][0])
    with tempfile.TemporaryDirectory() as folder:
        found = decode(
            lambda: open_collection(arguments.data, arguments.leave_out),
            Path(folder) / "cache",
            lambda collection: collection.tile or 2 * arguments.image_size,
        )
        return np.array(found.pictures.images), found.pictures.labels, None


def part(
    labels: np.ndarray, seed: int, train: int, test: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and to test on, drawn class by class."""
    random, chosen = np.random.default_rng(seed), ([], [])
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        chosen[0].append(rows[:train])
        chosen[1].append(rows[train : train + test])
    return np.concatenate(chosen[0]), np.concatenate(chosen[1])


def build(start: str, preset: str, classes: int, size: int) -> RedNetImageClassifier:
    names = tuple(map(str, range(classes)))
    if start == "preset":
        return training.load_model(preset, names, size)
    return training.build_model(names, size)


def mean_class_accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    right = predicted == labels
    return float(np.mean([right[labels == label].mean() for label in set(labels)]))


def measure(arguments: argparse.Namespace) -> Iterator[report.Row]:
    images, labels, given = load(arguments)
    classes = int(labels.max()) + 1
    for seed in arguments.seeds:
        rows = part(labels, seed, *arguments.per_class)
        if given is not None:
            rows = np.flatnonzero(~given), np.flatnonzero(given)
        for start in STARTS:
            for way in arguments.ways:
                began = time.perf_counter()
                keras.utils.set_random_seed(seed)
                model = build(start, arguments.preset, classes, arguments.image_size)
                found = WAYS[way](model, images, labels, rows, arguments, seed)
                yield {
                    "start": start,
                    "trained": way,
                    "seed": seed,
                    "epochs": arguments.epochs if way == "whole" else None,
                    "mean class accuracy": mean_class_accuracy(found, labels[rows[1]]),
                    "seconds": time.perf_counter() - began,
                }


def by_probe(
    model: Any, images: np.ndarray, labels: np.ndarray, rows: Any, *_: Any
) -> np.ndarray:
    train, _ = rows
    features = probes.features(model, images[np.concatenate(rows)])
    ours, others = features[: len(train)], features[len(train) :]
    return probes.predict(ours, labels[train], others)


def by_training(
    model: Any,
    images: np.ndarray,
    labels: np.ndarray,
    rows: Any,
    arguments: argparse.Namespace,
    seed: int,
) -> np.ndarray:
    train, test = rows
    training.train(model, images[train], labels[train], arguments.epochs, seed, [])
    return probes.logits(model, images[test]).argmax(-1)


WAYS = {"probe": by_probe, "whole": by_training}


def means(rows: list[report.Row]) -> list[report.Row]:
    """The mean of the seeds, and their standard deviation."""
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
    parser.add_argument("--data", type=Path, help="a file of sheets")
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="CLASS")
    parser.add_argument("--per-class", nargs=2, type=int, default=(30, 50))
    parser.add_argument("--seeds", nargs="*", type=int, default=(0, 1, 2))
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=48)
    parser.add_argument("--output", type=Path, help="a folder for JSON")
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
        name = "caltech101-mini" if arguments.data is None else arguments.data.stem
        path = arguments.output / f"transfer_{name}.json"
        report.write_json(path, head, rows + means(rows))


if __name__ == "__main__":
    main()
