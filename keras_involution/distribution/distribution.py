"""`Distribution`, the context manager that `distribute` returns."""

from __future__ import annotations

import abc
import contextlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.distribution import _evaluation
from keras_involution.distribution._devices import counted
from keras_involution.distribution.data import ShardedDataset
from keras_involution.distribution.hosts import Hosts
from keras_involution.distribution.rules import scaled_learning_rate
from keras_involution.models.data_parallel import refuse_model_from_outside

BATCHES = ("per_device", "global")


class Distribution(abc.ABC):
    """The devices of a run; models built in its `with` block train on all of them.

    Created by `distribute`.

    Attributes:
        devices: Tuple of strings, the devices of this process.
        hosts: `Hosts`, the processes.
        replicas: Integer, copies of the model in all processes together.
        notes: Tuple of sentences on the differences from training on one device.
    """

    def __init__(
        self, kind: str, devices: Sequence[str], hosts: Hosts, model_devices: int = 1
    ) -> None:
        self.kind, self.devices, self.hosts = kind, tuple(devices), hosts
        self.model_devices = model_devices
        self.notes: tuple[str, ...] = ()
        self._exits: list[contextlib.ExitStack] = []
        self._predictors: Any = weakref.WeakKeyDictionary()

    @property
    def local_replicas(self) -> int:
        """Copies of the model in this process."""
        return len(self.devices) // self.model_devices

    @property
    def replicas(self) -> int:
        return self.local_replicas * self.hosts.world_size

    @property
    def is_main_process(self) -> bool:
        """Whether this is the first process, which writes files and prints."""
        return self.hosts.is_main_process

    def __str__(self) -> str:
        number = len(self.devices) * self.hosts.world_size
        processes = self.hosts.world_size
        where = f"{processes} processes" if processes > 1 else "one process"
        copies = "one copy" if self.replicas == 1 else f"{self.replicas} copies"
        each = f", each over {self.model_devices} devices" * (self.model_devices > 1)
        text = f"{counted(number, self.kind)} in {where} ({keras.config.backend()})"
        return "; ".join([f"{text}: {copies} of the model{each}", *self.notes])

    def __enter__(self) -> Distribution:
        with contextlib.ExitStack() as stack:
            self._open(stack)
            self._exits.append(stack.pop_all())
        return self

    def __exit__(self, *error: Any) -> None:
        self._exits.pop().__exit__(*error)

    @abc.abstractmethod
    def _open(self, stack: contextlib.ExitStack) -> None:
        """Enters the contexts in which the backend builds and trains on the devices."""

    @abc.abstractmethod
    def gather(self, array: np.ndarray) -> np.ndarray:
        """Concatenates the arrays of all processes.

        Every process must call it with an array of the same shape.

        Args:
            array: Array (N, ...).

        Returns:
            Array (P * N, ...) for P processes, the same in every process.
        """

    @abc.abstractmethod
    def barrier(self) -> None:
        """Waits until every process has called it."""

    @abc.abstractmethod
    def _predictor(self, model: Any) -> Callable[[Any], Any]:
        """Function from a batch of this process to its predictions, in NumPy arrays."""

    def _predictor_of(self, model: Any) -> Callable[[Any], Any]:
        """The cached predictor of a model, so that it is compiled only once."""
        refuse_model_from_outside(model)
        if model not in self._predictors:
            self._predictors[model] = self._predictor(model)
        return self._predictors[model]

    @property
    def _loss_factor(self) -> float:
        """The number by which the backend divides losses computed in the block."""
        return 1.0

    def _local_values(self, model: Any) -> list[tuple[Any, Any]]:
        """Variables spread over several processes, with local values."""
        return []

    def global_batch_size(self, batch_size: int, rule: str = "per_device") -> int:
        """The number of images per step on all devices together.

        Args:
            batch_size: Integer.
            rule: `"per_device"`: `batch_size` is for each copy of the model.
                `"global"`: `batch_size` is for all copies together.

        Returns:
            Integer.

        Raises:
            ValueError: If the rule is unknown, or a batch cannot be divided evenly
                among the copies.
        """
        _arguments.positive_integer(batch_size, "batch_size")
        if _arguments.one_of(rule, BATCHES, "rule") == "per_device":
            return batch_size * self.replicas
        if batch_size % self.replicas:
            raise ValueError(
                "The batch size must be divisible by the number of model copies. "
                + received(batch_size=batch_size, replicas=self.replicas)
            )
        return batch_size

    def learning_rate(
        self, learning_rate: float, batch_rule: str = "per_device", rule: str = "linear"
    ) -> float:
        """Scales the learning rate of a single device to all devices.

        Args:
            learning_rate: Float.
            batch_rule: As in `global_batch_size`; with `"global"`, the rate does not
                change.
            rule: As in `scaled_learning_rate`.

        Returns:
            Float.
        """
        factor = self.replicas if batch_rule == "per_device" else 1
        return scaled_learning_rate(learning_rate, factor, 1, rule)

    def dataset(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int,
        shuffle: bool = True,
        seed: int = 0,
        epoch: int = 0,
    ) -> Any:
        """Batches for `fit`; every process reads only its own rows.

        At every step, the batches of all processes together equal the batch of a single
        process with the same seed. Rows that do not fill a batch are skipped in that
        epoch.

        Args:
            x: Array, or any indexable object with a length; or a dictionary or list of
                these.
            y: The same, or `None`.
            sample_weight: Array or `None`.
            batch_size: Integer, rows per step on all devices together.
            shuffle: Boolean, whether to shuffle every epoch.
            seed: Integer, the same in every process.
            epoch: Integer, the first epoch, to resume a run.

        Returns:
            A dataset for `fit`.

        Raises:
            ValueError: If a batch cannot be divided evenly among the copies, or
                there are fewer rows than one batch.
        """
        self.global_batch_size(batch_size, "global")
        arrays = (x, y, sample_weight)
        rows = ShardedDataset(
            arrays, batch_size, self.hosts, shuffle=shuffle, seed=seed, epoch=epoch
        )
        return self._dataset(rows)

    def _dataset(self, rows: ShardedDataset) -> Any:
        return rows

    def stream(self, dataset: Any, *, batch_size: int) -> Any:
        """Batches for `fit` from a `tf.data.Dataset` with the examples of this process.

        Args:
            dataset: Infinite `tf.data.Dataset` (`repeat()`) of single examples, for
                example from the files that `shard_files` returns.
            batch_size: Integer, examples per step on all devices together.

        Returns:
            A dataset for `fit`. Pass `steps_per_epoch`, the same in all processes.

        Raises:
            ValueError: If a batch cannot be divided evenly among the copies.
        """
        size = self.global_batch_size(batch_size, "global")
        return self._stream(dataset, size // self.hosts.world_size)

    def _stream(self, dataset: Any, batch_size: int) -> Any:
        return dataset.batch(batch_size, drop_remainder=True).prefetch(2)

    def predict(self, model: Any, x: Any, *, batch_size: int = 32) -> Any:
        """Predictions for every row, each computed exactly once.

        Args:
            model: Built Keras model.
            x: As in `dataset`; N rows, the same in every process.
            batch_size: Integer, rows per step of one copy of the model.

        Returns:
            Arrays (N, ...) with all rows, in every process.
        """
        run = self._predictor_of(model)
        copies = self.local_replicas
        return _evaluation.predict(run, self.gather, self.hosts, copies, x, batch_size)

    def whole(self, variable: Any) -> np.ndarray:
        """The value of a variable, gathered from all devices and processes.

        Every process must call it for the same variables in the same order.

        Args:
            variable: Variable of a Keras model.

        Returns:
            Array with the shape of the variable.
        """
        return keras.ops.convert_to_numpy(variable)

    def save_to_preset(self, model: Any, folder: str | Path, **arguments: Any) -> None:
        """Writes a preset, as `model.save_to_preset` does, from one process only.

        Every process must call it, and waits until the folder is complete. Sharded
        weights are gathered, so any number of devices can load them.

        Args:
            model: Model with `save_to_preset`.
            folder: Path of the folder.
            **arguments: Arguments of the model's `save_to_preset`.
        """
        values = [self.whole(variable) for variable in model.weights]
        if self.is_main_process:
            with self._on_one_device(model, values) as copy:
                copy.save_to_preset(folder, **arguments)
        self.barrier()

    @contextlib.contextmanager
    def _on_one_device(self, model: Any, values: list[np.ndarray]) -> Iterator[Any]:
        """Yields the model with all its weights in this process."""
        yield model

    def evaluate(
        self,
        model: Any,
        x: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        batch_size: int = 32,
    ) -> dict[str, float]:
        """Loss and compiled metrics over all rows, as computed by a single process.

        Args:
            model: Compiled Keras model.
            x: As in `dataset`; N rows, the same in every process.
            y: Arrays (N, ...).
            sample_weight: Array (N,) or `None`.
            batch_size: Integer, rows per step of one copy of the model.

        Returns:
            Dictionary of name -> value, the same in every process.
        """
        predictions = self.predict(model, x, batch_size=batch_size)
        values = self._local_values(model)
        outputs = (y, predictions, sample_weight)
        return _evaluation.metrics(
            model, values, self._loss_factor, *outputs, batch_size
        )
