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
from keras_involution.distribution.data import ShardedDataset, ShardedStream
from keras_involution.distribution.distribution import Distribution
from keras_involution.distribution.hosts import Hosts
from keras_involution.models import _tensorflow_steps


class TensorFlowDistribution(Distribution):
    """A copy of the model on every device; TensorFlow sums their gradients."""

    def __init__(self, request: Request, hosts: Hosts, *, timeout: float) -> None:
        resolver = _tpu(request)
        if hosts.world_size > 1:
            _check_addresses(hosts)
            self.strategy = _several_workers(hosts, timeout)
        if resolver is not None:
            self.strategy = tf.distribute.TPUStrategy(resolver)
            kind, names = "tpu", _names(tf.config.list_logical_devices("TPU"))
        else:
            kind, chosen = request.choose(_present(hosts.rank))
            names = _names(chosen)
            if hosts.world_size == 1:
                self.strategy = tf.distribute.MirroredStrategy(names)
        super().__init__(kind, names, hosts)

    @property
    def _loss_factor(self) -> float:
        # In the scope, Keras divides losses by the number of replicas.
        return float(self.replicas)

    def _open(self, stack: contextlib.ExitStack) -> None:
        stack.enter_context(self.strategy.scope())

    def _dataset(self, rows: ShardedDataset) -> Any:
        if self.hosts.world_size == 1:
            return rows

        def of_worker(context: Any) -> tf.data.Dataset:
            return tf.data.Dataset.from_generator(
                lambda: _shards(rows, self.local_replicas),
                output_signature=_signature(rows, self.local_replicas),
            ).prefetch(2 * self.local_replicas)

        # Keras would shard the batches of a worker, which are sharded already.
        data = self.strategy.distribute_datasets_from_function(of_worker)
        return ShardedStream(data, self.hosts.world_size, len(rows))

    def _stream(self, dataset: Any, batch_size: int) -> Any:
        per_device = batch_size // self.local_replicas
        batches = dataset.batch(per_device, drop_remainder=True)
        batches = batches.prefetch(2 * self.local_replicas)
        return self.strategy.distribute_datasets_from_function(lambda context: batches)

    def gather(self, array: np.ndarray) -> np.ndarray:
        if self.hosts.world_size == 1:
            return np.asarray(array)

        # Every device of the process takes some rows. The results keep their order.
        length = len(array)
        missing = -length % self.local_replicas
        filled = np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
        with self.strategy.scope():
            split = _tensorflow_steps.split(filled)
        whole = self.strategy.gather(split, axis=0).numpy()
        parts = np.split(whole, self.hosts.world_size)
        return np.concatenate([part[:length] for part in parts])

    def barrier(self) -> None:
        self.gather(np.zeros(self.local_replicas, "float32"))

    def _predictor(self, model: Any) -> Callable[[Any], Any]:
        @tf.function
        def run(batch: Any) -> Any:
            step = lambda part: model(part, training=False)  # noqa: E731
            return self.strategy.run(step, args=(batch,))

        def predict(batch: Any) -> Any:
            with self.strategy.scope():
                split = _tensorflow_steps.split(batch)
                return _tensorflow_steps.joined(run(split))

        return predict


def _shards(rows: ShardedDataset, devices: int) -> Iterator[tuple[Any, ...]]:
    """The steps of all epochs, each split among the devices."""
    while True:
        for step in range(len(rows)):
            batch = rows[step]
            flat = [np.split(array, devices) for array in keras.tree.flatten(batch)]
            for shard in zip(*flat):
                yield keras.tree.pack_sequence_as(batch, list(shard))
        rows.on_epoch_end()


def _signature(rows: ShardedDataset, devices: int) -> Any:
    size = rows.local // devices
    return keras.tree.map_structure(
        lambda array: tf.TensorSpec((size, *array.shape[1:]), array.dtype), rows[0]
    )


def _present(rank: int) -> dict[str, list[Any]]:
    """The devices of this process, by kind. Workers also see those of the others."""
    found = {}
    for kind in ("gpu", "cpu"):
        devices = tf.config.list_logical_devices(kind.upper())
        found[kind] = [
            device
            for device in devices
            if "/task:" not in device.name or f"/task:{rank}/" in device.name
        ]
    return found


def _names(devices: list[Any]) -> list[str]:
    return [device.name for device in devices]


def _tpu(request: Request) -> Any:
    """Connects to the TPU and initializes it; `None` if there is no TPU."""
    if request.kind not in (None, "tpu"):
        return None
    try:
        # On Kaggle and TPU VMs, the name of the TPU is "local".
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.NotFoundError) as error:
        if request.kind == "tpu":
            raise ValueError(
                f"TensorFlow finds no TPU: {error}. {received(devices='tpu')}"
            ) from error
        return None
    return resolver


class _Workers(tf.distribute.MultiWorkerMirroredStrategy):
    """A strategy that can reduce what Keras 3.15 passes with several workers.

    Keras passes a whole batch of inputs and targets, where TensorFlow expects tensors,
    and reduces the first axis of metrics that are scalars.
    """

    def reduce(self, reduce_op: Any, value: Any, axis: int | None = None) -> Any:
        plain = super().reduce

        def one(tensor: Any) -> Any:
            rank = getattr(tensor, "values", (tensor,))[0].shape.rank
            return plain(reduce_op, tensor, axis if rank else None)

        return keras.tree.map_structure(one, value)


@functools.cache
def _several_workers(hosts: Hosts, timeout: float) -> _Workers:
    """The strategy of this process. TensorFlow can join a cluster only once."""
    cluster = tf.train.ClusterSpec({"worker": list(hosts.addresses)})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster, task_type="worker", task_id=hosts.rank, rpc_layer="grpc"
    )
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout)
    return _Workers(resolver, options)


def _check_addresses(hosts: Hosts) -> None:
    if len(hosts.addresses) != hosts.world_size:
        raise ValueError(
            "TensorFlow needs the address of every process; set "
            "KERAS_DISTRIBUTION_JOB_ADDRESSES or TF_CONFIG. "
            + received(addresses=hosts.addresses, world_size=hosts.world_size)
        )
