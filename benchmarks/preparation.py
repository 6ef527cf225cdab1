"""How many pictures a second the processor prepares for a training.

What it does: draws the random views of Tiny-ImageNet's size that
`examples/pretrain_tiny_imagenet.py` trains on, of pictures of noise, with more and more
threads, for the recipes that a short training would take. A training is as fast as the
slower of this and of the network, since threads prepare the next batches beside it.

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
from examples._training.batches import Batches
from examples._training.pictures import Pictures
from keras_involution.training import RECIPES

BATCH, CLASSES, COUNT, STEPS, REPEATS = 128, 200, 20_000, 24, 3
COLUMNS = ("recipe", "pixels", "threads", "pictures/s", "slowest run", "fastest run")


def noise() -> Pictures:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (COUNT, 64, 64, 3), dtype="uint8")
    return Pictures(images, np.arange(COUNT) % CLASSES)


def rates(pictures: Pictures, recipe: str, pixels: int, threads: int) -> list[float]:
    """Pictures a second of each of `REPEATS` runs, sorted."""
    found = []
    for number in range(REPEATS):
        steps = range(number * STEPS, (number + 1) * STEPS)
        rows, plan = np.arange(COUNT), RECIPES[recipe]
        batches = Batches(pictures, rows, steps, BATCH, pixels, plan, 0, CLASSES)
        start = time.perf_counter()
        prepared = sum(len(images) for images, _ in batches.ahead(threads))
        found.append(prepared / (time.perf_counter() - start))
    return sorted(found)


def main() -> None:
    pictures, rows = noise(), []
    counts = [n for n in (1, 2, 4, 8, 16) if n <= (os.cpu_count() or 1)]
    for recipe in ("rednet_few_epochs", "rednet_modern"):
        for pixels in (32, 64):
            for threads in counts:
                found = rates(pictures, recipe, pixels, threads)
                values = (found[REPEATS // 2], found[0], found[-1])
                row = (recipe, pixels, threads, *values)
                rows.append(dict(zip(COLUMNS, row, strict=True)))
    print(report.table(rows, COLUMNS))


if __name__ == "__main__":
    main()
