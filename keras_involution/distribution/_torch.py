"""Several devices with PyTorch: a process for each, which `torch.distributed` joins."""

from __future__ import annotations

import contextlib
import datetime
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import torch
import torch.distributed as dist

from keras_involution._arguments import received
from keras_involution.distribution._devices import Request
from keras_involution.distribution._guards import guarded
from keras_involution.distribution.distribution import Distribution
from keras_involution.distribution.hosts import Hosts


class TorchDistribution(Distribution):
    """A copy of the model in every process; gradients are averaged before each step."""

    def __init__(self, request: Request, hosts: Hosts, *, timeout: float) -> None:
        kind, names = _device(request, hosts)
        if hosts.processes > 1 and not dist.is_initialized():
            dist.init_process_group(
                "nccl" if kind == "gpu" else "gloo",
                init_method=f"tcp://{hosts.coordinator}",
                rank=hosts.process,
                world_size=hosts.processes,
                timeout=datetime.timedelta(seconds=timeout),
            )
        if hosts.processes > 1 and dist.get_world_size() != hosts.processes:
            raise ValueError(
                "PyTorch was started with another number of processes. "
                + received(hosts=hosts, started=dist.get_world_size())
            )
        super().__init__(kind, names, hosts)
        self._keras = _keras_distribution()

    def _open(self, stack: contextlib.ExitStack) -> None:
        if self._keras is not None:
            stack.enter_context(self._keras.scope())
        stack.enter_context(guarded(self, self._prepare))

    def _prepare(self, model: Any) -> None:
        if self._keras is not None:
            return
        if self.hosts.processes == 1:
            return
        # A model that is compiled again has another optimizer.
        optimizer = model.optimizer
        if not getattr(optimizer, "_joined_processes", False):
            optimizer._joined_processes = True
            if not optimizer.built:
                optimizer.build(model.trainable_variables)
            with torch.no_grad():
                for variable in [*model.variables, *optimizer.variables]:
                    # Every process begins with the weights of the first.
                    dist.broadcast(variable.value, 0)
            optimizer.apply = functools.partial(_apply, optimizer.apply)
        if getattr(model, "_joined_processes", False):
            return
        model._joined_processes = True
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer._moments = functools.partial(_moments, layer)
        _join_metrics(model)

    def gather(self, array: np.ndarray) -> np.ndarray:
        if self.hosts.processes == 1:
            return np.asarray(array)
        own = torch.from_numpy(np.ascontiguousarray(array)).to(self._place)
        parts = [torch.empty_like(own) for _ in range(self.hosts.processes)]
        dist.all_gather(parts, own)
        return torch.cat(parts).cpu().numpy()

    def barrier(self) -> None:
        if self.hosts.processes > 1:
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


def _apply(plain: Callable[..., Any], gradients: Any, *args: Any, **kwargs: Any) -> Any:
    """The optimizer's step with the means of all processes' gradients."""
    present = [gradient for gradient in gradients if gradient is not None]
    for dtype in {gradient.dtype for gradient in present}:
        some = [gradient for gradient in present if gradient.dtype == dtype]
        # One message for all: each has a latency.
        flat = torch.cat([gradient.reshape(-1) for gradient in some])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for gradient, mean in zip(some, flat.split([g.numel() for g in some])):
            gradient.copy_(mean.view_as(gradient))
    return plain(gradients, *args, **kwargs)


class _Mean(torch.autograd.Function):
    """The mean over processes, whose gradient is the mean of theirs."""

    @staticmethod
    def forward(context: Any, tensor: torch.Tensor) -> torch.Tensor:
        mean = tensor.detach().clone()
        dist.all_reduce(mean)
        return mean / dist.get_world_size()

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _Mean.forward(None, gradient)


def _moments(layer: Any, inputs: Any, mask: Any) -> tuple[Any, Any]:
    """Mean and variance of a batch normalisation, over the batches of all processes."""
    if mask is not None:
        raise ValueError(
            "Batch normalisation over several processes takes no mask. "
            + received(layer=layer.name)
        )
    axes = layer._reduction_axes
    mean = _Mean.apply(torch.mean(inputs, dim=axes, keepdim=True))
    square = torch.mean((inputs - mean) ** 2, dim=axes)
    return mean.reshape(square.shape), _Mean.apply(square)


def _join_metrics(model: Any) -> None:
    """Outside of a step, the metrics are those of all processes' rows."""
    plain, inside = model.get_metrics_result, []

    def step(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: Any) -> Any:
            inside.append(True)
            try:
                return function(*args)
            finally:
                inside.pop()

        return run

    def result() -> Any:
        if inside:
            return plain()
        variables = [v for metric in model.metrics for v in metric.variables]
        kept = [variable.value.detach().clone() for variable in variables]
        try:
            for variable in variables:
                dist.all_reduce(variable.value)
            return plain()
        finally:
            for variable, value in zip(variables, kept):
                variable.assign(value)

    model.get_metrics_result = result
    model.train_step = step(model.train_step)


def _keras_distribution() -> Any:
    """Keras's own distribution of PyTorch, where it has one: later than 3.15."""
    try:
        devices = keras.distribution.list_devices()
    except (AttributeError, NotImplementedError):
        return None
    return keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)


def _device(request: Request, hosts: Hosts) -> tuple[str, list[str]]:
    """The one device of this process."""
    present = {"gpu": [f"gpu:{i}" for i in range(torch.cuda.device_count())]}
    present["cpu"] = [f"cpu:{i}" for i in range(hosts.processes)]
    if request.count not in (None, 1, hosts.processes):
        raise ValueError(
            "PyTorch runs a process for every device: start as many with torchrun or "
            "`keras_involution.distribution.launch`. "
            + received(devices=request.count, processes=hosts.processes)
        )
    kind, chosen = Request(request.kind, None, request.places).choose(present)
    if kind == "gpu":
        number = hosts.local_process % len(chosen)
        torch.cuda.set_device(int(chosen[number].split(":")[1]))
        return kind, [chosen[number]]
    return kind, [f"cpu:{hosts.local_process}"]
