"""Several devices with JAX: `keras.distribution` and `jax.distributed`."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.distribution._devices import Request
from keras_involution.distribution.data import ShardedDataset
from keras_involution.distribution.distribution import Distribution
from keras_involution.distribution.hosts import Hosts
from keras_involution.distribution.layout import (
    REDNET_LAYOUTS,
    FullyShardedLayouts,
    NamedLayouts,
)


class JaxDistribution(Distribution):
    """Runs one program on all devices of all processes, sharded by XLA."""

    def __init__(
        self,
        request: Request,
        hosts: Hosts,
        *,
        strategy: str,
        model_devices: int | None,
        layouts: dict[str, Any] | None,
        seed: int | None,
        timeout: float,
    ) -> None:
        _start(hosts, request, timeout)
        if jax.process_count() != hosts.world_size:
            raise ValueError(
                "JAX was started with a different number of processes. "
                + received(hosts=hosts, started=jax.process_count())
            )
        kind, chosen = request.choose(_of_process(jax.process_index()))
        local = len(chosen)
        each = 1 if strategy == "data" else model_devices or 1
        _arguments.divisible(local, each, "devices", "model_devices")
        names = [f"{device.platform}:{device.id}" for device in chosen]
        super().__init__(kind, names, hosts, each)
        everywhere = [
            device
            for process in range(hosts.world_size)
            for device in request.choose(_of_process(process))[1]
        ]
        self._keras = _keras_distribution(
            [f"{device.platform}:{device.id}" for device in everywhere],
            strategy,
            model_devices,
            layouts,
        )
        _same_seed(hosts, seed)

    def _open(self, stack: contextlib.ExitStack) -> None:
        stack.enter_context(self._keras.scope())

    def _dataset(self, rows: ShardedDataset) -> Any:
        # Keras rejects data of several processes unless they are marked as sharded.
        self._keras.auto_shard_dataset = False
        return rows

    def _stream(self, dataset: Any, batch_size: int) -> Any:
        self._keras.auto_shard_dataset = False
        return super()._stream(dataset, batch_size)

    def gather(self, array: np.ndarray) -> np.ndarray:
        if self.hosts.world_size == 1:
            return np.asarray(array)
        parts = np.asarray(multihost_utils.process_allgather(np.asarray(array)))
        return parts.reshape(-1, *parts.shape[2:])

    def barrier(self) -> None:
        multihost_utils.sync_global_devices("keras_involution")

    def whole(self, variable: Any) -> np.ndarray:
        value = variable.value
        if value.is_fully_addressable or value.is_fully_replicated:
            return np.asarray(keras.ops.convert_to_numpy(variable))
        return np.asarray(multihost_utils.process_allgather(value, tiled=True))

    @contextlib.contextmanager
    def _on_one_device(self, model: Any, values: list[np.ndarray]) -> Iterator[Any]:
        if self.hosts.world_size == 1 or isinstance(
            self._keras, keras.distribution.DataParallel
        ):
            yield model
            return
        keras.distribution.set_distribution(None)
        try:
            copy = type(model).from_config(model.get_config())
            copy.set_weights(values)
            yield copy
        finally:
            keras.distribution.set_distribution(self._keras)

    def _local_values(self, model: Any) -> list[tuple[Any, Any]]:
        values = ((variable, variable.value) for variable in model.variables)
        return [
            (variable, np.asarray(value.addressable_data(0)))
            for variable, value in values
            if value.is_fully_replicated and not value.is_fully_addressable
        ]

    def _predictor(self, model: Any) -> Callable[[Any], Any]:
        mesh = self._keras.device_mesh
        outer = jax.sharding.NamedSharding(
            mesh.backend_mesh, jax.sharding.PartitionSpec(mesh.axis_names[0])
        )

        @jax.jit
        def run(weights: Any, others: Any, batch: Any) -> Any:
            outputs, _ = model.stateless_call(weights, others, batch, training=False)
            return jax.lax.with_sharding_constraint(outputs, outer)

        def predict(batch: Any) -> Any:
            weights = [v.value for v in model.trainable_variables]
            others = [v.value for v in model.non_trainable_variables]
            whole = keras.tree.map_structure(
                lambda part: jax.make_array_from_process_local_data(outer, part), batch
            )
            return keras.tree.map_structure(_own_rows, run(weights, others, whole))

        return predict


def _own_rows(array: jax.Array) -> np.ndarray:
    """The rows of this process in an array that is sharded by rows."""
    parts = {
        shard.index[0].start or 0: shard.data for shard in array.addressable_shards
    }
    return np.concatenate([np.asarray(parts[start]) for start in sorted(parts)])


class _ModelParallel(keras.distribution.ModelParallel):
    """Shards weights by layouts that also depend on the shape."""

    def __init__(self, mesh: Any, layouts: NamedLayouts | FullyShardedLayouts) -> None:
        super().__init__(
            layout_map=keras.distribution.LayoutMap(mesh), batch_dim_name="batch"
        )
        self._layouts = layouts

    def get_variable_layout(self, variable: Any) -> Any:
        axes = self._layouts.axes(variable.path, tuple(variable.shape))
        if any(axes):
            return keras.distribution.TensorLayout(axes, self.device_mesh)
        # Variables of the optimizer have the layout of their weights.
        return super().get_variable_layout(variable)


def _keras_distribution(
    names: list[str],
    strategy: str,
    model_devices: int | None,
    layouts: dict[str, Any] | None,
) -> Any:
    if strategy == "data":
        return keras.distribution.DataParallel(devices=names)
    if model_devices is None:
        mesh = keras.distribution.DeviceMesh((len(names),), ("batch",), names)
        return _ModelParallel(mesh, FullyShardedLayouts(mesh))
    shape = (len(names) // model_devices, model_devices)
    mesh = keras.distribution.DeviceMesh(shape, ("batch", "model"), names)
    named = NamedLayouts(mesh, REDNET_LAYOUTS if layouts is None else layouts)
    return _ModelParallel(mesh, named)


def _start(hosts: Hosts, request: Request, timeout: float) -> None:
    if hosts.world_size == 1:
        return
    if jax.distributed.is_initialized():
        return
    jax.distributed.initialize(
        coordinator_address=hosts.coordinator,
        num_processes=hosts.world_size,
        process_id=hosts.rank,
        initialization_timeout=round(timeout),
        heartbeat_timeout_seconds=30,
        shutdown_timeout_seconds=30,
    )


def _of_process(process: int) -> dict[str, list[Any]]:
    """The devices of a process, by kind."""
    found: dict[str, list[Any]] = {}
    for kind in ("tpu", "gpu", "cpu"):
        try:
            devices = jax.devices(kind)
        except RuntimeError:
            continue
        found[kind] = [d for d in devices if d.process_index == process]
    return found


def _same_seed(hosts: Hosts, seed: int | None) -> None:
    """Sets the same seed in every process, so that all copies have equal weights."""
    if hosts.world_size == 1:
        return
    own = random.SystemRandom().randrange(2**31) if seed is None else seed
    common = multihost_utils.broadcast_one_to_all(np.int32(own))
    keras.utils.set_random_seed(int(common))
