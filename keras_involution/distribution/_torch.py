"""Several devices with PyTorch: a process for each, joined by `torch.distributed`."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import torch
import torch.distributed as dist

from keras_involution._arguments import received
from keras_involution.distribution._devices import Request
from keras_involution.distribution.data import ShardedStream
from keras_involution.distribution.distribution import Distribution
from keras_involution.distribution.hosts import Hosts
from keras_involution.models._torch_steps import OnlyJoinedSteps


class TorchDistribution(Distribution):
    """A copy of the model in every process; gradients are averaged before each step.

    `keras_involution.models.DataParallelSteps` implements the steps.
    """

    def __init__(self, request: Request, hosts: Hosts, *, timeout: float) -> None:
        kind, names = _device(request, hosts)
        if hosts.world_size > 1 and not dist.is_initialized():
            dist.init_process_group(
                "nccl" if kind == "gpu" else "gloo",
                init_method=f"tcp://{hosts.coordinator}",
                rank=hosts.rank,
                world_size=hosts.world_size,
                timeout=datetime.timedelta(seconds=timeout),
            )
        if hosts.world_size > 1 and dist.get_world_size() != hosts.world_size:
            raise ValueError(
                "PyTorch was started with a different number of processes. "
                + received(hosts=hosts, started=dist.get_world_size())
            )
        super().__init__(kind, names, hosts)

    def _open(self, stack: contextlib.ExitStack) -> None:
        by_keras = _keras_distribution()
        if by_keras is not None:
            stack.enter_context(by_keras.scope())
        elif self.hosts.world_size > 1:
            stack.enter_context(OnlyJoinedSteps())

    def _stream(self, dataset: Any, batch_size: int) -> Any:
        batches = super()._stream(dataset, batch_size)
        several = self.hosts.world_size > 1
        return ShardedStream(batches, self.hosts.world_size) if several else batches

    def gather(self, array: np.ndarray) -> np.ndarray:
        if self.hosts.world_size == 1:
            return np.asarray(array)
        own = torch.from_numpy(np.ascontiguousarray(array)).to(self._place)
        arrays = [torch.empty_like(own) for _ in range(self.hosts.world_size)]
        dist.all_gather(arrays, own)
        return torch.cat(arrays).cpu().numpy()

    def barrier(self) -> None:
        if self.hosts.world_size > 1:
            dist.barrier()

    @property
    def _place(self) -> str:
        return "cuda" if self.kind == "gpu" else "cpu"

    def _predictor(self, model: Any) -> Callable[[Any], Any]:
        def predict(batch: Any) -> Any:
            with torch.no_grad():
                outputs = model(batch, training=False)
            return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)

        return predict


def _keras_distribution() -> Any:
    """Keras's own distribution for PyTorch, which versions after 3.15 have."""
    try:
        devices = keras.distribution.list_devices()
    except (AttributeError, NotImplementedError):  # Keras 3.15 has none for PyTorch.
        return None
    return keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)


def _device(request: Request, hosts: Hosts) -> tuple[str, list[str]]:
    """The one device of this process."""
    present = {"gpu": [f"gpu:{i}" for i in range(torch.cuda.device_count())]}
    present["cpu"] = [f"cpu:{i}" for i in range(hosts.world_size)]
    if request.count not in (None, 1, hosts.world_size):
        raise ValueError(
            "PyTorch runs one process per device; start them with torchrun. "
            + received(devices=request.count, world_size=hosts.world_size)
        )
    kind, chosen = Request(request.kind, None, request.places).choose(present)
    if kind == "gpu":
        number = hosts.local_rank % len(chosen)
        torch.cuda.set_device(int(chosen[number].split(":")[1]))
        return kind, [chosen[number]]
    return kind, [f"cpu:{hosts.local_rank}"]
