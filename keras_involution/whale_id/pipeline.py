"""Streams of photos with grain: shuffled or balanced, and resumable at any place."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import pandas as pd

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.data.images import (
    MAX_PIXELS,
    ON_ERROR,
    ImageError,
    logger,
    read_image,
)
from keras_involution.distribution import Hosts, shard_dataset
from keras_involution.training.augmentation import AUGMENTATIONS
from keras_involution.training.batches import parse_flags

SAMPLINGS = ("shuffle", "balanced")


class Views(Protocol):
    """Training data by row: `Photos`, or stored vectors."""

    kind: str
    """Name of the network's input."""

    def __len__(self) -> int: ...

    def view(
        self, row: int, augmentation: str, random: np.random.Generator
    ) -> np.ndarray | None:
        """A random view of a row; `None` if it is left out."""


class Photos:
    """Rows of a table as images, the source of the streams below.

    Args:
        table: DataFrame with `path`, and `bbox` if there are boxes.
        image_size: Height and width.
        box_margin: Float, widens boxes by this fraction of their sides.
        on_error: `"skip"` leaves out images that cannot be used, and lists them in the
            log and in `skipped`; `"stop"` raises an error.
        max_pixels: Integer; images with more pixels are treated as unusable.

    Attributes:
        skipped: Dictionary from the row numbers that this process has left out to the
            reasons.

    Raises:
        ImageError: When an image cannot be used and `on_error` is `"stop"`, or
            none of them can.
        ValueError: If `on_error` is unknown, or a number is out of range.
    """

    kind = "images"

    def __init__(
        self,
        table: pd.DataFrame,
        image_size: tuple[int, int],
        box_margin: float = 0.0,
        on_error: str = "stop",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.paths = [str(path) for path in table["path"]]
        self.boxes = [_box_of(box) for box in table.get("bbox", [None] * len(table))]
        self.image_size = image_size
        self.box_margin = _arguments.not_negative(box_margin, "box_margin")
        self.on_error = _arguments.one_of(on_error, ON_ERROR, "on_error")
        self.max_pixels = _arguments.positive_integer(max_pixels, "max_pixels")
        self.skipped: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, row: int, scale: float = 1.0) -> np.ndarray | None:
        """The image of a row, (H, W, 3) bytes; `None` if it is left out."""
        size = [round(scale * side) for side in self.image_size]
        try:
            return read_image(
                self.paths[row], size, self.boxes[row], self.box_margin, self.max_pixels
            )
        except ImageError as error:
            self._leave_out(row, error)
            return None

    def view(
        self, row: int, augmentation: str, random: np.random.Generator
    ) -> np.ndarray | None:
        """A randomly changed image of a row, (H, W, 3) bytes."""
        changes = AUGMENTATIONS[augmentation]
        # A view that is cropped from a part of the image needs more pixels.
        image = self.read(row, 1.0 if changes.view.keeps_image else 1.25)
        if image is None:
            return None
        return changes.image(image, random, self.image_size)

    def _leave_out(self, row: int, error: ImageError) -> None:
        if self.on_error == "stop":
            raise error
        if row not in self.skipped:
            self.skipped[row] = str(error)
            logger.warning("left out: %s", error)
        if len(self.skipped) == len(self):
            raise ImageError(f"No image of the table can be used: {error}")


def ordered_batches(
    photos: Photos, batch_size: int, num_threads: int = 2
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All images once, in order, with the next batch prefetched.

    Args:
        photos: `Photos`.
        batch_size: Integer.
        num_threads: Integer, threads that read.

    Yields:
        Row numbers (B,) and images (B, H, W, 3) of bytes. Rows that were left out are
        missing; the last batch may be smaller.

    Raises:
        ValueError: If `batch_size` or `num_threads` is not a positive integer.
    """
    import grain

    _arguments.positive_integer(batch_size, "batch_size")
    _arguments.positive_integer(num_threads, "num_threads")

    def element(row: int) -> Any:
        image = photos.read(int(row))
        return None if image is None else (np.int64(row), image)

    options = grain.ReadOptions(
        num_threads=num_threads, prefetch_buffer_size=batch_size
    )
    images = grain.MapDataset.range(len(photos)).map(element)
    batches = iter(images.to_iter_dataset(options).batch(batch_size))
    with contextlib.closing(batches):
        yield from batches


def training_batches(
    photos: Views,
    identities: np.ndarray,
    batch_size: int,
    *,
    sampling: str = "shuffle",
    augmentation: str = "none",
    seed: int = 0,
    num_threads: int = 2,
    num_workers: int = 0,
    hosts: Hosts | None = None,
    start: int = 0,
) -> Any:
    """An endless stream of shuffled batches, the same for the same seed.

    The order of every epoch and every random view depend only on the seed and the place
    in the stream, not on threads or workers. `get_state` of the iterator returns its
    place, also in the middle of an epoch; `set_state` restores it.

    Args:
        photos: `Views`, such as `Photos`.
        identities: Class numbers (N,).
        batch_size: Integer, the total of all processes.
        sampling: `"shuffle"` uses every image once per epoch; `"balanced"` uses every
            identity equally often, and its images in turn.
        augmentation: Name of an augmentation of `training.AUGMENTATIONS`.
        seed: Integer.
        num_threads: Integer, threads that read.
        num_workers: Integer, processes that read; 0 reads in this process.
        hosts: `Hosts`; each process reads its part of every batch. `None` reads all.
        start: Integer, the place in the stream to start at.

    Returns:
        Iterator of dictionaries: "row" (B,), "identity" (B,), and the views under their
        `kind`: "images" (B, H, W, 3) of bytes.

    Raises:
        ValueError: If the sampling is unknown, the numbers of identities and images
            differ, or a number is out of range.
    """
    import grain

    _arguments.positive_integer(batch_size, "batch_size")
    _arguments.positive_integer(num_threads, "num_threads")
    _arguments.whole_number(num_workers, "num_workers")

    if len(identities) != len(photos) or not len(photos):
        raise ValueError(
            "Every photo needs an identity, and there must be at least one photo. "
            + received(photos=len(photos), identities=len(identities))
        )
    stream = _Stream(photos, np.asarray(identities), sampling, augmentation, seed)
    options = grain.ReadOptions(
        num_threads=num_threads, prefetch_buffer_size=2 * batch_size
    )
    hosts = hosts or Hosts()
    places = grain.MapDataset.range(start, _ENDLESS)
    dataset = shard_dataset(places, hosts).map(stream).to_iter_dataset(options)
    local = _arguments.divisible(
        batch_size, hosts.world_size, "batch_size", "world_size"
    )
    dataset = dataset.batch(local, drop_remainder=True)
    if num_workers:
        parse_flags()
        options = grain.MultiprocessingOptions(num_workers=num_workers)
        dataset = dataset.mp_prefetch(options)
    return iter(dataset)


_ENDLESS = 2**48


class _Stream:
    """Maps a place in the endless stream to its element."""

    def __init__(
        self,
        photos: Views,
        identities: np.ndarray,
        sampling: str,
        augmentation: str,
        seed: int,
    ) -> None:
        self.photos = photos
        self.identities = identities.astype("int32")
        self.sampling = _arguments.one_of(sampling, SAMPLINGS, "sampling")
        names = tuple(AUGMENTATIONS)
        self.augmentation = _arguments.one_of(augmentation, names, "augmentation")
        self.seed = seed

    def __call__(self, place: int) -> dict[str, Any] | None:
        epoch, position = divmod(int(place), len(self.photos))
        order = _order(epoch, self.sampling, self.seed, self.identities.tobytes())
        row = order[position]
        random = np.random.default_rng([self.seed, int(place)])
        view = self.photos.view(row, self.augmentation, random)
        if view is None:
            return None
        kind = self.photos.kind
        return {"row": np.int64(row), "identity": self.identities[row], kind: view}


@functools.lru_cache(maxsize=4)
def _order(epoch: int, sampling: str, seed: int, identities: bytes) -> np.ndarray:
    """The rows of one epoch."""
    numbers = np.frombuffer(identities, "int32")
    random = np.random.default_rng([seed, epoch, 1])
    if sampling == "shuffle":
        return random.permutation(len(numbers))
    _, counts = np.unique(numbers, return_counts=True)
    by_identity = np.lexsort((random.random(len(numbers)), numbers))
    rows = np.split(by_identity, np.cumsum(counts)[:-1])
    rounds = -(-len(numbers) // len(rows))
    order = [
        rows[name][turn % len(rows[name])]
        for turn in range(rounds)
        for name in random.permutation(len(rows))
    ]
    return np.array(order[: len(numbers)])


def _box_of(value: Any) -> Any:
    """A box, or `None` for any value that means that there is no box."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    try:
        return [float(v) for v in value]
    except (TypeError, ValueError):
        return value  # `read_image` names the image and the box.
