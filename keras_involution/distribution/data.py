"""Which rows and files a process reads, so that none is read twice or missed."""

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
    """The rows of this process when every row is to be seen once: a part in one piece.

    Args:
        count: Integer N, the number of rows.
        hosts: `Hosts`.

    Returns:
        Integers (M,); the parts of all processes are N / P long, rounded up or down.

    Example:

    >>> from keras_involution.distribution import Hosts, shard_rows
    >>> at = ("10.0.0.1:12355",)
    >>> [shard_rows(7, Hosts(at, 3, process)).tolist() for process in range(3)]
    [[0, 1, 2], [3, 4], [5, 6]]
    """
    count = _arguments.whole_number(count, "count")
    return np.array_split(np.arange(count), hosts.processes)[hosts.process]


def shard_files(paths: Sequence[T], hosts: Hosts) -> list[T]:
    """The files of this process, as TFRecord files: every P-th.

    Raises:
        ValueError: If there are fewer files than processes, so that some would have
            nothing to read.
    """
    if len(paths) < hosts.processes:
        raise ValueError(
            "There must be a file for every process; write more and smaller ones. "
            + received(files=len(paths), processes=hosts.processes)
        )
    return list(paths[hosts.process :: hosts.processes])


def shard_dataset(dataset: Any, hosts: Hosts) -> Any:
    """Every P-th element of a stream, for this process.

    Args:
        dataset: `grain.MapDataset` or `tf.data.Dataset`, before it is batched.
        hosts: `Hosts`.

    Returns:
        A dataset of the same kind.

    Raises:
        ValueError: If it is something else.
    """
    if hosts.processes == 1:
        return dataset
    if hasattr(dataset, "shard"):
        return dataset.shard(hosts.processes, hosts.process)
    if hasattr(dataset, "slice") and hasattr(dataset, "__getitem__"):
        return dataset[hosts.process :: hosts.processes]
    raise ValueError(
        "The dataset must be a `grain.MapDataset` or a `tf.data.Dataset`. "
        + received(dataset=type(dataset))
    )


class ShardedDataset(keras.utils.PyDataset):
    """The batches of one process; those of all together make the batches of the run.

    Args:
        parts: Tuple of x, y and weights: arrays or structures of arrays, or `None`.
        batch_size: Integer, rows of a step, of all processes together.
        hosts: `Hosts`.
        shuffle: Boolean.
        seed: Integer.
        epoch: Integer, the number of the first epoch.

    Raises:
        ValueError: If lengths differ, or there are fewer rows than one batch.
    """

    def __init__(
        self,
        parts: tuple[Any, Any, Any],
        batch_size: int,
        hosts: Hosts,
        *,
        shuffle: bool,
        seed: int,
        epoch: int = 0,
    ) -> None:
        super().__init__()
        self.parts, self.hosts = parts, hosts
        self.count = rows_of(parts)
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.local = _arguments.divisible(
            batch_size, hosts.processes, "batch_size", "processes"
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
        start = step * self.batch_size + self.hosts.process * self.local
        rows = self._order[start : start + self.local]
        return tuple(take(part, rows) for part in self.parts if part is not None)

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._order = self._new_order()

    def _new_order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self.count)
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.count)


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
