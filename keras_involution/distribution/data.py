"""Assigns rows and files to processes, each exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import keras
import numpy as np

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.distribution.hosts import Hosts

T = TypeVar("T")


def shard_rows(count: int, hosts: Hosts) -> np.ndarray:
    """The rows of this process: a contiguous shard of all rows.

    Args:
        count: Integer N, the number of rows.
        hosts: `Hosts`.

    Returns:
        Integers (M,), where M is N / world size, rounded up or down.

    Example:

    >>> from keras_involution.distribution import Hosts, shard_rows
    >>> at = ("10.0.0.1:12355",)
    >>> [shard_rows(7, Hosts(at, 3, rank)).tolist() for rank in range(3)]
    [[0, 1, 2], [3, 4], [5, 6]]
    """
    count = _arguments.whole_number(count, "count")
    return np.array_split(np.arange(count), hosts.world_size)[hosts.rank]


def shard_files(paths: Sequence[T], hosts: Hosts) -> list[T]:
    """The files of this process, such as TFRecord files.

    Args:
        paths: Sequence of paths, the same in every process.
        hosts: `Hosts`.

    Returns:
        List of paths: one of every `world_size` files.

    Raises:
        ValueError: If there are fewer files than processes.

    Example:

    >>> from keras_involution.distribution import Hosts, shard_files
    >>> at = ("10.0.0.1:12355",)
    >>> shard_files(["a.tfrec", "b.tfrec", "c.tfrec"], Hosts(at, 2, 1))
    ['b.tfrec']
    """
    if len(paths) < hosts.world_size:
        raise ValueError(
            "There must be at least one file per process; write more, smaller files. "
            + received(files=len(paths), world_size=hosts.world_size)
        )
    return list(paths[hosts.rank :: hosts.world_size])


def shard_dataset(dataset: Any, hosts: Hosts) -> Any:
    """The shard of a dataset for this process: one of every `world_size` elements.

    Args:
        dataset: `grain.MapDataset` or `tf.data.Dataset`, before it is batched.
        hosts: `Hosts`.

    Returns:
        A dataset of the same kind.

    Raises:
        ValueError: If the dataset has another type.
    """
    if hosts.world_size == 1:
        return dataset
    if hasattr(dataset, "shard"):
        return dataset.shard(hosts.world_size, hosts.rank)
    if hasattr(dataset, "slice") and hasattr(dataset, "__getitem__"):
        return dataset[hosts.rank :: hosts.world_size]
    raise ValueError(
        "The dataset must be a `grain.MapDataset` or a `tf.data.Dataset`. "
        + received(dataset=type(dataset))
    )


class ShardedDataset(keras.utils.PyDataset):
    """The shard of one process of every batch.

    Args:
        arrays: Tuple of x, y and weights: arrays or structures of arrays, or `None`.
        batch_size: Integer, rows per step of all processes together.
        hosts: `Hosts`.
        shuffle: Boolean, whether to shuffle every epoch.
        seed: Integer, the same in every process.
        epoch: Integer, the number of the first epoch.

    Raises:
        ValueError: If lengths differ, or there are fewer rows than one batch.
    """

    def __init__(
        self,
        arrays: tuple[Any, Any, Any],
        batch_size: int,
        hosts: Hosts,
        *,
        shuffle: bool,
        seed: int,
        epoch: int = 0,
    ) -> None:
        super().__init__()
        self.arrays, self.hosts = arrays, hosts
        self.world_size = hosts.world_size
        self.count = rows_of(arrays)
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.local = _arguments.divisible(
            batch_size, hosts.world_size, "batch_size", "world_size"
        )
        if self.count < batch_size:
            raise ValueError(
                "There must be rows for one batch. "
                + received(rows=self.count, batch_size=batch_size)
            )
        self.epoch = _arguments.whole_number(epoch, "epoch")
        self._order = self._new_order()

    def __len__(self) -> int:
        return self.count // self.batch_size

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        start = step * self.batch_size + self.hosts.rank * self.local
        rows = self._order[start : start + self.local]
        return tuple(take(array, rows) for array in self.arrays if array is not None)

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._order = self._new_order()

    def _new_order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self.count)
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.count)


class ShardedStream:
    """Batches of one of several processes, which only models of this package accept.

    `fit` of `models.DataParallelSteps` unpacks it. A plain Keras model rejects it as an
    unknown type of data, because its processes would not train together.

    Args:
        data: A dataset for `fit` of the backend.
        world_size: Integer, the number of processes.
        steps_per_epoch: Integer, or `None` if the caller of `fit` passes it.
    """

    def __init__(
        self, data: Any, world_size: int, steps_per_epoch: int | None = None
    ) -> None:
        self.data, self.world_size = data, world_size
        self.steps_per_epoch = steps_per_epoch

    def for_fit(self) -> tuple[Any, dict[str, Any]]:
        """The data, and the arguments of `fit` for them."""
        steps = self.steps_per_epoch
        return self.data, {} if steps is None else {"steps_per_epoch": steps}


def rows_of(structure: Any) -> int:
    """The number of rows that all arrays of a structure have."""
    arrays = [a for a in keras.tree.flatten(structure) if a is not None]
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1:
        raise ValueError(
            f"All arrays must have the same number of rows. Received: {lengths}"
        )
    return lengths.pop()


def take(structure: Any, rows: np.ndarray) -> Any:
    """Rows of every array of a structure, as NumPy arrays."""
    return keras.tree.map_structure(lambda array: _rows(array, rows), structure)


def _rows(array: Any, rows: np.ndarray) -> np.ndarray:
    if keras.ops.is_tensor(array):
        array = keras.ops.convert_to_numpy(array)
    return np.asarray(array[rows])
