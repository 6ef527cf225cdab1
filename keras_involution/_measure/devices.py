"""The three frameworks behind one set of verbs, on the device that runs here."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_involution._measure import timing

Function = Callable[..., Any]


def running_device() -> Device:
    """The device of the running backend."""
    kinds: dict[str, Callable[[], Device]]
    kinds = {"tensorflow": TensorFlow, "jax": Jax, "torch": Torch}
    return kinds[keras.config.backend()]()


class Device(abc.ABC):
    """Compiles, runs and waits; numbers come from one seeded generator."""

    kind: str
    name: str

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def normal(self, shape: tuple[int, ...], dtype: str) -> Any:
        values = self._random.standard_normal(shape, dtype="float32")
        return keras.ops.convert_to_tensor(values, dtype=dtype)

    @abc.abstractmethod
    def compiled(self, function: Function) -> Function:
        """The function as the framework compiles it."""

    def forward(self, function: Function) -> Function:
        """The function without a record for gradients."""
        return function

    @abc.abstractmethod
    def training(self, function: Function) -> Function:
        """`(*tensors, dy) -> (y, *gradients)`."""

    @abc.abstractmethod
    def wait(self, result: Any) -> None:
        """Until the result is computed."""

    def peak_mib(self, run: timing.Run) -> float | None:
        """Memory that a call adds at its highest point, where that can be seen."""
        return timing.peak_host_mib(run, self.wait)


class Torch(Device):
    def __init__(self) -> None:
        super().__init__()
        import torch

        self._torch = torch
        self.kind = "gpu" if torch.cuda.is_available() else "cpu"
        self.name = torch.cuda.get_device_name() if self.kind == "gpu" else "CPU"

    def compiled(self, function: Function) -> Function:
        return self._torch.compile(function)

    def forward(self, function: Function) -> Function:
        return self._torch.no_grad()(function)

    def training(self, function: Function) -> Function:
        def run(*tensors_and_dy: Any) -> tuple:
            *tensors, dy = tensors_and_dy
            leaves = [tensor.detach().requires_grad_() for tensor in tensors]
            y = function(*leaves)
            y.backward(dy)
            return (y.detach(), *(leaf.grad for leaf in leaves))

        return run

    def wait(self, result: Any) -> None:
        if self.kind == "gpu":
            self._torch.cuda.synchronize()

    def peak_mib(self, run: timing.Run) -> float | None:
        if self.kind == "cpu":
            return super().peak_mib(run)
        cuda = self._torch.cuda
        cuda.reset_peak_memory_stats()
        before = cuda.memory_allocated()
        self.wait(run())
        return (cuda.max_memory_allocated() - before) / 2**20


class Jax(Device):
    def __init__(self) -> None:
        super().__init__()
        import jax

        self._jax = jax
        self.kind = {"cuda": "gpu", "rocm": "gpu"}.get(
            jax.default_backend(), jax.default_backend()
        )
        self.name = jax.devices()[0].device_kind

    def compiled(self, function: Function) -> Function:
        return self._jax.jit(function)

    def training(self, function: Function) -> Function:
        def run(*tensors_and_dy: Any) -> tuple:
            *tensors, dy = tensors_and_dy
            y, pull_back = self._jax.vjp(function, *tensors)
            return (y, *pull_back(dy))

        return run

    def wait(self, result: Any) -> None:
        self._jax.block_until_ready(result)

    def peak_mib(self, run: timing.Run) -> float | None:
        """On a GPU the highest point of the process so far: it cannot be reset."""
        if self.kind == "cpu":
            return super().peak_mib(run)
        self.wait(run())
        return self._jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20


class TensorFlow(Device):
    def __init__(self) -> None:
        super().__init__()
        import tensorflow as tf

        self._tf = tf
        devices = tf.config.list_physical_devices("GPU")
        self.kind = "gpu" if devices else "cpu"
        self.name = devices[0].name if devices else "CPU"

    def compiled(self, function: Function) -> Function:
        return self._tf.function(function, autograph=False)

    def training(self, function: Function) -> Function:
        def run(*tensors_and_dy: Any) -> tuple:
            *tensors, dy = tensors_and_dy
            with self._tf.GradientTape() as tape:
                tape.watch(tensors)
                y = function(*tensors)
            return (y, *tape.gradient(y, tensors, output_gradients=dy))

        return run

    def wait(self, result: Any) -> None:
        if self.kind == "gpu":
            self._tf.test.experimental.sync_devices()

    def peak_mib(self, run: timing.Run) -> float | None:
        if self.kind == "cpu":
            return None  # it keeps what it frees for itself, so nothing grows
        memory = self._tf.config.experimental
        memory.reset_memory_stats("GPU:0")
        before = memory.get_memory_info("GPU:0")["current"]
        self.wait(run())
        return (memory.get_memory_info("GPU:0")["peak"] - before) / 2**20
