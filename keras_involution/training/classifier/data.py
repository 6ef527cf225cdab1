"""The images of a run and their splits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_involution._arguments import received
from keras_involution.data import (
    DecodedImages,
    ImageCollection,
    decode,
    find_duplicates,
    open_collection,
    read_split,
    split_by_fractions,
)
from keras_involution.data.splits import FRACTIONS
from keras_involution.models import RedNetImageConverter
from keras_involution.training.classifier.folder import CACHE, SPLIT
from keras_involution.training.classifier.settings import ClassifierSettings
from keras_involution.training.stored_splits import split_of_indices


@dataclass(frozen=True)
class ClassifierData:
    """Decoded images and the split of each.

    Attributes:
        decoded: `DecodedImages`.
        splits: List of `"train"`, `"val"`, `"test"` or `"unused"`.
    """

    decoded: DecodedImages
    splits: list[str]

    def rows(self, split: str) -> np.ndarray:
        """Returns the rows of a split, without images that could not be decoded."""
        skipped = self.decoded.skipped
        return np.array(
            [
                row
                for row, (name, own) in enumerate(zip(self.decoded.names, self.splits))
                if own == split and name not in skipped
            ],
            int,
        )

    def skipped(self, split: str) -> int:
        """Returns the number of images of a split that could not be decoded."""
        named = zip(self.decoded.names, self.splits)
        own = [name for name, its in named if its == split]
        return sum(name in self.decoded.skipped for name in own)

    def duplicates(self) -> list[str]:
        """Returns the names of training images that duplicate held-out images."""
        rows = self.rows("train")
        held_out = np.concatenate([self.rows("val"), self.rows("test")])
        found = find_duplicates(self.decoded.data.images, rows, held_out)
        return [self.decoded.names[row] for row in rows[found]]

    def check(self, class_names: list[str]) -> None:
        """Raises `ValueError` without validation images or if a class has no image."""
        trained = set(self.decoded.data.labels[self.rows("train")].tolist())
        if missing := sorted(set(range(len(class_names))) - trained):
            raise ValueError(
                "Every class needs at least one training image; leave out the classes "
                "that have none. "
                + received(classes=[class_names[label] for label in missing])
            )
        if not len(self.rows("val")):
            raise ValueError(f"The split has no validation images. {received(val=0)}")


def chosen_split(
    settings: ClassifierSettings, collection: ImageCollection
) -> list[str]:
    """Returns the split in the settings, or a new random split."""
    if settings.split is None:
        return split_by_fractions(collection, seed=settings.seed)
    if Path(settings.split).suffix.lower() == ".csv":
        return read_split(Path(settings.split), collection.names, collection.empty)
    val_fraction = FRACTIONS[1] / (FRACTIONS[0] + FRACTIONS[1])
    return split_of_indices(collection, settings.split, val_fraction, settings.seed)


def data_of(
    folder: Path,
    settings: ClassifierSettings,
    converter: RedNetImageConverter,
    find: Callable[[], ImageCollection] | None = None,
) -> ClassifierData:
    """Reads the cache of a run, decoding the images again if it is missing."""
    size = converter.image_size or (0, 0)
    decoded = decode(
        find or (lambda: open_collection(settings.data, settings.leave_out)),
        folder / CACHE,
        lambda collection: side_of(collection, size[0]),
        crop=converter.crop_to_aspect_ratio,
        on_error=settings.on_error,
    )
    return ClassifierData(decoded, read_split(folder / SPLIT, decoded.names))


def side_of(collection: ImageCollection, image_size: int) -> int:
    """Returns the side of decoded images: 8/7 of the views, at most that of images."""
    side = math.ceil(image_size * 8 / 7)
    return min(side, collection.side or side)
