"""What all kinds of data become before anything is decoded."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from examples._training.views import whole_views
from keras_involution._arguments import received
from keras_involution.whale_id.images import PhotographError

Read = Callable[[int, bool], Iterator[np.ndarray | PhotographError]]


@dataclass(frozen=True)
class Collection:
    """Names and classes of pictures, and how to read them.

    Args:
        kind: String, for people.
        class_names: List of strings, in the order of the labels.
        names: List of strings, one a picture, each once.
        labels: Class numbers (N,).
        given: List of `"train"`, `"val"`, `"test"` or `""`, the official parts.
        tile: Integer, the sides that all pictures have, or `None`.
        read: Function of a side and of whether to cut out the middle square; yields
            for each picture bytes (side, side, 3), or the error.
        empty: Tuple of strings, the classes that were found without a picture and are
            no class here.
    """

    kind: str
    class_names: list[str]
    names: list[str]
    labels: np.ndarray
    given: list[str]
    tile: int | None
    read: Read
    empty: tuple[str, ...] = ()

    @property
    def emptiness(self) -> str:
        """A sentence that names the classes without a picture."""
        names = ", ".join(self.empty)
        return f"Left out, for there is no picture in it: {names}."

    def without(self, class_names: Sequence[str]) -> Collection:
        """The collection less some classes; the others are numbered anew."""
        for name in class_names:
            if name not in (*self.class_names, *self.empty):
                raise ValueError(
                    f"The data have no such class, but {', '.join(self.class_names)}. "
                    + received(leave_out=name)
                )
        if not class_names:
            return self
        kept = [i for i, name in enumerate(self.class_names) if name not in class_names]
        number = {label: new for new, label in enumerate(kept)}
        wanted = np.isin(self.labels, kept)

        def read(side: int, crop: bool) -> Iterator[np.ndarray | PhotographError]:
            return itertools.compress(self.read(side, crop), wanted)

        return Collection(
            kind=self.kind,
            class_names=[self.class_names[label] for label in kept],
            names=list(itertools.compress(self.names, wanted)),
            labels=np.array([number[label] for label in self.labels[wanted]], int),
            given=list(itertools.compress(self.given, wanted)),
            tile=self.tile,
            read=read,
            empty=tuple(name for name in self.empty if name not in class_names),
        )


def resized(tiles: np.ndarray, side: int) -> np.ndarray:
    """Square bytes (N, H, H, 3) to bytes (N, side, side, 3)."""
    if tiles.shape[1:3] == (side, side):
        return tiles
    return np.rint(whole_views(tiles, side)).astype("uint8")


def numbered(names: Sequence[str]) -> list[str]:
    """Names of which several may be the same, told apart by a number."""
    return [
        name if names.count(name) == 1 else f"{name} {names[:i].count(name) + 1}"
        for i, name in enumerate(names)
    ]
