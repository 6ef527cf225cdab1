"""Several devices with TensorFlow: `tf.distribute`."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_involution._arguments import received
from keras_involution.distribution._devices import Request
from keras_involution.distribution._guards import guarded
from keras_involution.distribution.data import ShardedDataset
from keras_involution.distribution.distribution import Distribution
from keras_involution.distribution.hosts import Hosts


class TensorFlowDistribution(Distribution):
    """A copy of the model on every device; TensorFlow sums their gradients."""

    def __init__(self, request: Request, hosts: Hosts, *, timeout: float) -> None:
        resolver = _tpu(request)
        if hosts.processes > 1:
            _check_addresses(hosts)
            self.strategy = _several_workers(hosts, timeout)
        if resolver is not None:
            self.strategy = tf.distribute.TPUStrategy(resolver)
            kind, names = "tpu", _names(tf.config.list_logical_devices("TPU"))
        else:
            kind, chosen = request.choose(_present(hosts.process))
            names = _names(chosen)
            if hosts.processes == 1:
                self.strategy = tf.distribute.MirroredStrategy(names)
        super().__init__(kind, names, hosts)
        self._loss_factor = float(self.replicas)
        # The steps of an epoch of the datasets that were made here.
        self._steps: dict[int, int] = {}
        self._kept: list[Any] = []

    def _open(self, stack: contextlib.ExitStack) -> None:
        stack.enter_context(self.strategy.scope())
        stack.enter_context(guarded(self, self._prepare))

    def _prepare(self, model: Any) -> None:
        values = [getattr(v.value, "_value", v.value) for v in model.variables]
        if not all(isinstance(v, tf.distribute.DistributedValues) for v in values):
            raise ValueError(
                "The model must be built or loaded inside of the block: its weights "
                f"lie on one device. {received(model=model.name)}"
            )
        for layer in model._flatten_layers():
            # Their statistics are then those of the whole batch, as on one device.
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True

    def _reads_parts(self, x: Any) -> bool:
        # TensorFlow gives every worker its part of its own datasets.
        ours = (tf.data.Dataset, tf.distribute.DistributedDataset)
        return isinstance(x, ours) or super()._reads_parts(x)

    def _build(self, model: Any, batch: Any) -> Any:
        model._symbolic_build(data_batch=batch)
        return model

    def to_devices(self, batch: Any) -> Any:
        """A batch (B, ...) of this process, a share for each of its devices."""
        return keras.tree.map_structure(self._parted, batch)

    def _parted(self, array: Any) -> Any:
        if array is None:
            return None
        parts = np.split(np.asarray(array), self.local_replicas)

        def part(context: Any) -> Any:
            number = context.replica_id_in_sync_group % self.local_replicas
            return tf.convert_to_tensor(parts[number])

        return self.strategy.experimental_distribute_values_from_function(part)

    def _dataset(self, rows: ShardedDataset) -> Any:
        def of_worker(context: Any) -> tf.data.Dataset:
            return tf.data.Dataset.from_generator(
                lambda: _shares(rows, self.local_replicas),
                output_signature=_signature(rows, self.local_replicas),
            ).prefetch(2 * self.local_replicas)

        dataset = self.strategy.distribute_datasets_from_function(of_worker)
        self._steps[id(dataset)] = len(rows)
        self._kept.append(dataset)
        return dataset

    def _stream(self, dataset: Any, batch_size: int) -> Any:
        share = batch_size // self.local_replicas
        batches = dataset.batch(share, drop_remainder=True)
        batches = batches.prefetch(2 * self.local_replicas)
        return self.strategy.distribute_datasets_from_function(lambda context: batches)

    def _fit_arguments(self, x: Any) -> dict[str, Any]:
        # At the end of its data TensorFlow would let some devices take one step more.
        steps = self._steps.get(id(x))
        given = {} if steps is None else {"steps_per_epoch": steps}
        return given | super()._fit_arguments(x)

    def gather(self, array: np.ndarray) -> np.ndarray:
        if self.hosts.processes == 1:
            return np.asarray(array)

        # Every device of a process takes a share, and the shares come back in order.
        length = len(array)
        missing = -length % self.local_replicas
        filled = np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
        whole = self.strategy.gather(self._parted(filled), axis=0).numpy()
        parts = np.split(whole, self.hosts.processes)
        return np.concatenate([part[:length] for part in parts])

    def barrier(self) -> None:
        self.gather(np.zeros(self.local_replicas, "float32"))

    def _predictor(self, model: Any) -> Callable[[Any], Any]:
        @tf.function
        def run(batch: Any) -> Any:
            step = lambda part: model(part, training=False)  # noqa: E731
            return self.strategy.run(step, args=(batch,))

        def predict(batch: Any) -> Any:
            outputs = run(self.to_devices(batch))
            return keras.tree.map_structure(self._joined, outputs)

        return predict

    def _joined(self, outputs: Any) -> np.ndarray:
        parts = self.strategy.experimental_local_results(outputs)
        return np.concatenate([part.numpy() for part in parts])


def _shares(rows: ShardedDataset, devices: int) -> Iterator[tuple[Any, ...]]:
    """The steps of all epochs, each in as many shares as there are devices."""
    while True:
        for step in range(len(rows)):
            batch = rows[step]
            flat = [np.split(array, devices) for array in keras.tree.flatten(batch)]
            for share in zip(*flat):
                yield keras.tree.pack_sequence_as(batch, list(share))
        rows.on_epoch_end()


def _signature(rows: ShardedDataset, devices: int) -> Any:
    size = rows.local // devices
    return keras.tree.map_structure(
        lambda array: tf.TensorSpec((size, *array.shape[1:]), array.dtype), rows[0]
    )


def _present(process: int) -> dict[str, list[Any]]:
    """The devices of this process, by kind; workers see those of the others too."""
    found = {}
    for kind in ("gpu", "cpu"):
        devices = tf.config.list_logical_devices(kind.upper())
        found[kind] = [
            device
            for device in devices
            if "/task:" not in device.name or f"/task:{process}/" in device.name
        ]
    return found


def _names(devices: list[Any]) -> list[str]:
    return [device.name for device in devices]


def _tpu(request: Request) -> Any:
    """A TPU that is connected and initialised; `None` where there is none."""
    if request.kind not in (None, "tpu"):
        return None
    try:
        # On Kaggle and TPU machines it is found under "local", elsewhere by its name.
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.NotFoundError) as error:
        if request.kind == "tpu":
            raise ValueError(
                f"TensorFlow finds no TPU: {error}. {received(devices='tpu')}"
            ) from error
        return None
    return resolver


@functools.cache
def _several_workers(hosts: Hosts, timeout: float) -> Any:
    """One for all blocks of a process: TensorFlow joins a cluster once."""
    cluster = tf.train.ClusterSpec({"worker": list(hosts.addresses)})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster, task_type="worker", task_id=hosts.process, rpc_layer="grpc"
    )
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
    strategy.reduce = functools.partial(_reduce, strategy.reduce)
    return strategy


def _reduce(plain: Any, operation: Any, value: Any, axis: int | None = None) -> Any:
    """`Strategy.reduce` for what Keras gives it with several workers.

    That is a whole batch, inputs and targets, where it takes tensors; and the first
    axis of figures that have none.
    """

    def one(tensor: Any) -> Any:
        rank = getattr(tensor, "values", (tensor,))[0].shape.rank
        return plain(operation, tensor, axis if rank else None)

    return keras.tree.map_structure(one, value)


def _check_addresses(hosts: Hosts) -> None:
    if len(hosts.addresses) != hosts.processes:
        raise ValueError(
            "TensorFlow needs the address of every process, as "
            "KERAS_DISTRIBUTION_JOB_ADDRESSES or TF_CONFIG give it. "
            + received(addresses=hosts.addresses, processes=hosts.processes)
        )
