"""Batches whose contents depend on the seed and the number of the step alone."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from examples._training.pictures import Pictures
from examples._training.views import random_views, whole_views
from keras_involution import RedNetImageConverter
from keras_involution.training import Recipe

THREADS = max(1, min(8, (os.cpu_count() or 1) // 2))
"""Threads that prepare pictures; two cores have one to spare for it."""


class Batches:
    """The steps `first` to `last` of a run: prepared views and one-hot targets.

    Args:
        pictures: Pictures of the training.
        rows: The rows of it to use (N,).
        steps: Range of the steps.
        batch_size: Integer.
        size: Integer, sides of the views.
        recipe: `Recipe`, says what is done to pictures.
        seed: Integer.
        num_classes: Integer.
        converter: `RedNetImageConverter`, how values are scaled; `None` is the default.
        targets: Function from row numbers and their one-hot labels to what is learnt;
            `None` learns the labels.
    """

    def __init__(
        self,
        pictures: Pictures,
        rows: np.ndarray,
        steps: range,
        batch_size: int,
        size: int,
        recipe: Recipe,
        seed: int,
        num_classes: int,
        converter: RedNetImageConverter | None = None,
        targets: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.pictures, self.rows, self.steps = pictures, rows, steps
        self.batch_size, self.size, self.recipe = batch_size, size, recipe
        self.seed, self.num_classes = seed, num_classes
        self.converter, self.targets = converter, targets

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        step = self.steps[index]
        rows = self.rows_of(step)
        random = np.random.default_rng((self.seed, 1, step))
        images = np.stack([self.pictures.images[row] for row in rows])
        views = random_views(images, self.size, random, self.recipe.crop_area)
        targets = np.zeros((len(rows), self.num_classes), "float32")
        targets[np.arange(len(rows)), self.pictures.labels[rows]] = 1
        if self.targets is not None:
            targets = self.targets(rows, targets)
        augment = self.recipe.build_augmentation()
        views, targets = augment(views, targets, seed=int(random.integers(2**31)))
        return prepared(views, self.converter), targets

    def ahead(self, threads: int = THREADS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The batches in order, of which threads prepare the next few."""
        count = threads + 2
        with ThreadPoolExecutor(threads) as pool:
            first = range(min(count, len(self)))
            waiting = deque(pool.submit(self.__getitem__, index) for index in first)
            for number in range(len(self)):
                yield waiting.popleft().result()
                if number + count < len(self):
                    waiting.append(pool.submit(self.__getitem__, number + count))

    def rows_of(self, step: int) -> np.ndarray:
        """Every epoch holds every row once, but for the last few."""
        epoch, place = divmod(step, len(self.rows) // self.batch_size)
        order = np.random.default_rng((self.seed, 0, epoch)).permutation(self.rows)
        return order[place * self.batch_size : (place + 1) * self.batch_size]


def held_out_batches(
    images: np.ndarray,
    rows: np.ndarray,
    size: int,
    batch_size: int,
    converter: RedNetImageConverter | None = None,
) -> Iterator[np.ndarray]:
    """Yields prepared batches of whole pictures, in the order of `rows`."""
    for start in range(0, len(rows), batch_size):
        found = images[rows[start : start + batch_size]]
        yield prepared(whole_views(found, size), converter)


def prepared(
    views: np.ndarray, converter: RedNetImageConverter | None = None
) -> np.ndarray:
    """As the preprocessor of the model does it, without its resizing."""
    converter = converter or RedNetImageConverter(data_format="channels_last")
    return views * np.array(converter.scale, "float32") + np.array(
        converter.offset, "float32"
    )
