"""Measures how many training images per second the CPU prepares.

What it does: augments random images of the size of Tiny-ImageNet, as
`examples/pretrain_tiny_imagenet.py` does, for two recipes and increasing numbers of
threads. Threads prepare batches while the network trains, so the slower of the two
limits the speed of training.

How long it takes: about a minute.

What to expect: a row for each recipe, size and number of threads.

Command, from the root of the repository:

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 KERAS_BACKEND=torch \
        python -m benchmarks.preparation
"""

from __future__ import annotations

import os
import time

import numpy as np

from benchmarks._measure import report
from keras_involution import RedNetImageConverter
from keras_involution.data import LabeledImages
from keras_involution.training import RECIPES, ImageBatches

BATCH, CLASSES, COUNT, STEPS, REPEATS = 128, 200, 20_000, 24, 3
COLUMNS = ("recipe", "pixels", "threads", "images/s", "slowest run", "fastest run")


def noise() -> LabeledImages:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (COUNT, 64, 64, 3), dtype="uint8")
    return LabeledImages(images, np.arange(COUNT) % CLASSES)


def rates(images: LabeledImages, recipe: str, pixels: int, threads: int) -> list[float]:
    """Returns the images per second of `REPEATS` runs, sorted."""
    found = []
    for number in range(REPEATS):
        batches = ImageBatches(
            images,
            np.arange(COUNT),
            batch_size=BATCH,
            num_classes=CLASSES,
            converter=RedNetImageConverter(data_format="channels_last"),
            image_size=pixels,
            augmentation=RECIPES[recipe].build_augmentation(),
            num_threads=threads,
        )
        batches.seek(number * STEPS)
        start = time.perf_counter()
        prepared = sum(len(batches.next_batch()[0]) for _ in range(STEPS))
        found.append(prepared / (time.perf_counter() - start))
    return sorted(found)


def main() -> None:
    images, rows = noise(), []
    counts = [n for n in (1, 2, 4, 8, 16) if n <= (os.cpu_count() or 1)]
    for recipe in ("rednet_few_epochs", "rednet_modern"):
        for pixels in (32, 64):
            for threads in counts:
                found = rates(images, recipe, pixels, threads)
                values = (found[REPEATS // 2], found[0], found[-1])
                row = (recipe, pixels, threads, *values)
                rows.append(dict(zip(COLUMNS, row, strict=True)))
    print(report.table(rows, COLUMNS))


if __name__ == "__main__":
    main()
