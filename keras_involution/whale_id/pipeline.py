"""Streams of photographs with grain: shuffled, balanced, resumed anywhere."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.distribution import Hosts, shard_dataset
from keras_involution.whale_id.images import (
    MAX_PIXELS,
    ON_ERROR,
    PhotographError,
    logger,
    read_photograph,
)
from keras_involution.whale_id.views import VIEWS, random_view

SAMPLINGS = ("shuffle", "balanced")


class Photographs:
    """Rows of a table as pictures; what the streams below are made of.

    Args:
        table: DataFrame with `path`, and `bbox` if there are boxes.
        image_size: Height and width.
        margin: Float, widens boxes by this share of their sides.
        on_error: `"skip"` leaves out pictures that cannot be used, and names them in
            the log and in `skipped`; `"stop"` raises.
        max_pixels: Integer, pictures with more pixels count as unusable.

    Attributes:
        skipped: Dictionary of row number -> reason, of what this process has left out.

    Raises:
        PhotographError: When a picture cannot be used and `on_error` is `"stop"`, or
            none of them can.
        ValueError: If `on_error` is unknown, or `margin` or `max_pixels` out of range.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        image_size: tuple[int, int],
        margin: float = 0.0,
        on_error: str = "stop",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.paths = [str(path) for path in table["path"]]
        self.boxes = [_box_of(box) for box in table.get("bbox", [None] * len(table))]
        self.image_size = image_size
        self.margin = _arguments.not_negative(margin, "margin")
        self.on_error = _arguments.one_of(on_error, ON_ERROR, "on_error")
        self.max_pixels = _arguments.positive_integer(max_pixels, "max_pixels")
        self.skipped: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, row: int, scale: float = 1.0) -> np.ndarray | None:
        """The picture of a row, (H, W, 3) bytes; `None` if it is left out."""
        size = [round(scale * side) for side in self.image_size]
        try:
            return read_photograph(
                self.paths[row], size, self.boxes[row], self.margin, self.max_pixels
            )
        except PhotographError as error:
            self._leave_out(row, error)
            return None

    def _leave_out(self, row: int, error: PhotographError) -> None:
        if self.on_error == "stop":
            raise error
        if row not in self.skipped:
            self.skipped[row] = str(error)
            logger.warning("left out: %s", error)
        if len(self.skipped) == len(self):
            raise PhotographError(f"No picture of the table can be used: {error}")


def ordered_batches(
    photographs: Photographs,
    batch_size: int,
    threads: int = 2,
    rows: range | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pictures once, in order, read a batch ahead.

    Args:
        photographs: `Photographs`.
        batch_size: Integer.
        threads: Integer, threads that read.
        rows: Range of row numbers to read; `None` for all.

    Yields:
        Row numbers (B,) and pictures (B, H, W, 3) of bytes. Rows that were left out
        do not occur; the last batch may be smaller.

    Raises:
        ValueError: If `batch_size` or `threads` is no positive integer.
    """
    import grain

    _arguments.positive_integer(batch_size, "batch_size")
    _arguments.positive_integer(threads, "threads")

    def element(row: int) -> Any:
        image = photographs.read(int(row))
        return None if image is None else (np.int64(row), image)

    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=batch_size)
    rows = range(len(photographs)) if rows is None else rows
    pictures = grain.MapDataset.range(rows.start, rows.stop).map(element)
    yield from pictures.to_iter_dataset(options).batch(batch_size)


def training_batches(
    photographs: Photographs,
    identities: np.ndarray,
    batch_size: int,
    *,
    sampling: str = "shuffle",
    views: str = "none",
    seed: int = 0,
    threads: int = 2,
    workers: int = 0,
    hosts: Hosts | None = None,
    start: int = 0,
) -> Any:
    """An endless stream of shuffled batches, the same for the same seed.

    The order of every epoch and every random view follow from the seed and the place
    in the stream alone, so neither threads nor workers change them. `get_state` of the
    iterator gives its place, in the middle of an epoch too; `set_state` returns to it.

    Args:
        photographs: `Photographs`.
        identities: Class numbers (N,).
        batch_size: Integer, of all processes together.
        sampling: `"shuffle"` takes every picture once an epoch; `"balanced"` every
            identity equally often, and its pictures by turns.
        views: Name of the random views, as in `views.VIEWS`.
        seed: Integer.
        threads: Integer, threads that read.
        workers: Integer, processes that read; 0 reads in this one.
        hosts: `Hosts`; of every batch each process reads its share. `None` reads all.
        start: Integer, the place in the stream to begin at.

    Returns:
        Iterator of dictionaries: "row" (B,), "identity" (B,), "images" (B, H, W, 3) of
        bytes.

    Raises:
        ValueError: If the sampling is unknown, there are not as many identities as
            pictures, or a number is out of range.
    """
    import grain

    _arguments.positive_integer(batch_size, "batch_size")
    _arguments.positive_integer(threads, "threads")
    _arguments.whole_number(workers, "workers")

    if len(identities) != len(photographs) or not len(photographs):
        raise ValueError(
            "Every photograph needs an identity, and there must be one. "
            + received(photographs=len(photographs), identities=len(identities))
        )
    stream = _Stream(photographs, np.asarray(identities), sampling, views, seed)
    options = grain.ReadOptions(
        num_threads=threads, prefetch_buffer_size=2 * batch_size
    )
    hosts = hosts or Hosts()
    places = grain.MapDataset.range(start, _ENDLESS)
    dataset = shard_dataset(places, hosts).map(stream).to_iter_dataset(options)
    local = _arguments.divisible(batch_size, hosts.processes, "batch_size", "processes")
    dataset = dataset.batch(local, drop_remainder=True)
    if workers:
        _parse_flags()
        dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    return iter(dataset)


def _parse_flags() -> None:
    """Grain's worker processes ask absl for flags, which only `absl.app` parses."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


_ENDLESS = 2**48


class _Stream:
    """From a place in the endless stream to the element there."""

    def __init__(
        self,
        photographs: Photographs,
        identities: np.ndarray,
        sampling: str,
        views: str,
        seed: int,
    ) -> None:
        self.photographs = photographs
        self.identities = identities.astype("int32")
        self.sampling = _arguments.one_of(sampling, SAMPLINGS, "sampling")
        self.views = _arguments.one_of(views, tuple(VIEWS), "views")
        self.seed = seed

    def __call__(self, place: int) -> dict[str, Any] | None:
        epoch, position = divmod(int(place), len(self.photographs))
        order = _order(epoch, self.sampling, self.seed, self.identities.tobytes())
        row = order[position]
        # A view needs more pixels than it has where it is cut from a part.
        image = self.photographs.read(row, scale=1.0 if self.views == "none" else 1.25)
        if image is None:
            return None
        if self.views != "none":
            random = np.random.default_rng([self.seed, int(place)])
            size = self.photographs.image_size
            image = random_view(image, self.views, random, size)
        return {
            "row": np.int64(row), "identity": self.identities[row], "images": image
        }  # fmt: skip


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
    """A box, or `None` for the several ways in which a table says that it has none."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    try:
        return [float(v) for v in value]
    except (TypeError, ValueError):
        return value  # `read_photograph` names the picture and the box.
