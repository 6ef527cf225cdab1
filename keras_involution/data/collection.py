"""The common form of all dataset formats: names, classes, and a reader of images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from keras_involution._arguments import received
from keras_involution.data.images import ImageError

Read = Callable[[int, bool], Iterator[np.ndarray | ImageError]]


@dataclass(frozen=True)
class ImageCollection:
    """The images of a dataset, listed but not decoded.

    Attributes:
        kind: String, the name of the format.
        class_names: List of strings, in the order of the labels.
        names: List of strings, one unique name for each image.
        labels: Class numbers (N,).
        official_splits: List of `"train"`, `"val"`, `"test"` or `""`, the split that
            the dataset itself assigns to each image.
        side: Integer, the side of all images, or `None` if sizes differ.
        read: Function `(side, crop)`, where `crop` is whether to crop the central
            square. It yields a uint8 array (side, side, 3), or the error, for each
            image.
        empty: Tuple of strings, classes whose folders hold no image. They are not in
            `class_names`.
    """

    kind: str
    class_names: list[str]
    names: list[str]
    labels: np.ndarray
    official_splits: list[str]
    side: int | None
    read: Read
    empty: tuple[str, ...] = ()

    def without(self, class_names: Sequence[str]) -> ImageCollection:
        """The collection without some classes. The other classes are renumbered.

        Args:
            class_names: Sequence of strings, the classes to leave out.

        Returns:
            `ImageCollection`.

        Raises:
            ValueError: If the collection has no such class.
        """
        for name in class_names:
            if name not in (*self.class_names, *self.empty):
                raise ValueError(
                    f"Unknown class; the classes are {', '.join(self.class_names)}. "
                    + received(leave_out=name)
                )
        if not class_names:
            return self
        kept = [i for i, name in enumerate(self.class_names) if name not in class_names]
        number = {label: new for new, label in enumerate(kept)}
        wanted = np.isin(self.labels, kept)

        def read(side: int, crop: bool) -> Iterator[np.ndarray | ImageError]:
            return itertools.compress(self.read(side, crop), wanted)

        return ImageCollection(
            kind=self.kind,
            class_names=[self.class_names[label] for label in kept],
            names=list(itertools.compress(self.names, wanted)),
            labels=np.array([number[label] for label in self.labels[wanted]], int),
            official_splits=list(itertools.compress(self.official_splits, wanted)),
            side=self.side,
            read=read,
            empty=tuple(name for name in self.empty if name not in class_names),
        )


def resized(tiles: np.ndarray, side: int) -> np.ndarray:
    """Resizes square uint8 images (N, H, H, 3) to (N, side, side, 3)."""
    if tiles.shape[1:3] == (side, side):
        return tiles
    size, bilinear = (side, side), Image.Resampling.BILINEAR
    resized = [Image.fromarray(tile).resize(size, bilinear) for tile in tiles]
    return np.stack([np.asarray(tile) for tile in resized])


def numbered(names: Sequence[str]) -> list[str]:
    """Adds a number to each name that occurs more than once."""
    return [
        name if names.count(name) == 1 else f"{name} {names[:i].count(name) + 1}"
        for i, name in enumerate(names)
    ]
