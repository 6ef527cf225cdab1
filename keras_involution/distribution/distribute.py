"""`distribute`: training on several devices, processes and hosts."""

from __future__ import annotations

from typing import Any

import keras

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.distribution._devices import Request
from keras_involution.distribution.distribution import Distribution
from keras_involution.distribution.hosts import Hosts

STRATEGIES = ("data", "model")


def distribute(
    devices: Any = "auto",
    strategy: str = "data",
    hosts: Hosts | None = None,
    *,
    model_devices: int | None = None,
    layouts: dict[str, tuple[str | None, ...]] | None = None,
    seed: int | None = None,
    timeout: float = 300.0,
    verbose: bool = True,
) -> Distribution:
    """Finds the devices, initializes the backend, and returns a context manager.

    Models that are built or loaded in the `with` block train on all devices with `fit`.
    Every step equals a step of one device with the whole batch. An option that the
    backend does not support raises an error.

    Args:
        devices: `"auto"` uses all TPUs, else all GPUs, else the CPU. Or a kind
            (`"gpu"`), a number, or names (`"gpu:0,gpu:1"`). With several processes, the
            devices of each process.
        strategy: `"data"`: every device has the whole model and a shard of the batch.
            `"model"` (JAX only): the weights and the state of the optimizer are sharded
            over the devices.
        hosts: `Hosts`; `None` reads the environment set by the launcher
            (`Hosts.from_environment`).
        model_devices: Integer, number of devices over which one copy of the model is
            sharded by `layouts`; must divide the devices of a process. `None` shards
            every weight over all devices, each of which also takes a shard of the
            batch.
        layouts: Dictionary from regular expressions for whole variable paths to tuples
            with `"model"`, `"batch"` or `None` for each dimension. `None` uses the
            layouts of RedNet.
        seed: Integer, seed of weights and augmentation, the same in all JAX processes;
            `None` draws one.
        timeout: Float, seconds to wait for the other processes.
        verbose: Boolean, whether to print one line about the devices.

    Returns:
        `Distribution`.

    Raises:
        ValueError: If there are too few devices, or the backend does not support an
            option.

    Example:

    >>> import numpy as np, keras, keras_involution
    >>> with keras_involution.distribution.distribute("cpu", verbose=False) as devices:
    ...     model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    ...     model.compile("sgd", "mse")
    ...     data = devices.dataset(np.ones((8, 4)), np.ones((8, 2)), batch_size=4)
    ...     history = model.fit(data, verbose=0)
    ...     devices.predict(model, np.ones((3, 4))).shape
    (3, 2)
    """
    request = Request.of(devices)
    _arguments.one_of(strategy, STRATEGIES, "strategy")
    _arguments.positive_number(timeout, "timeout")
    _check(strategy, model_devices, layouts)
    hosts = Hosts.from_environment() if hosts is None else hosts
    distribution = _engine(
        request,
        hosts,
        strategy=strategy,
        model_devices=model_devices,
        layouts=layouts,
        seed=seed,
        timeout=timeout,
    )
    if verbose and distribution.is_main_process:
        print(f"Running on {distribution}", flush=True)
    return distribution


def _check(strategy: str, model_devices: int | None, layouts: Any) -> None:
    backend = keras.config.backend()
    if strategy == "model" and backend != "jax":
        raise ValueError(
            "Only JAX shards the weights of a model; other backends would ignore this "
            f"strategy. {received(strategy=strategy, backend=backend)}"
        )
    if strategy == "data" and (model_devices or layouts):
        raise ValueError(
            '`model_devices` and `layouts` need the strategy "model". '
            + received(strategy=strategy, model_devices=model_devices, layouts=layouts)
        )
    if model_devices is not None:
        _arguments.positive_integer(model_devices, "model_devices")
    elif layouts is not None:
        raise ValueError(
            "`layouts` shards a copy of the model over `model_devices`; pass both. "
            + received(layouts=layouts)
        )


def _engine(request: Request, hosts: Hosts, **settings: Any) -> Distribution:
    backend = keras.config.backend()
    if backend == "jax":
        from keras_involution.distribution._jax import JaxDistribution

        return JaxDistribution(request, hosts, **settings)
    timeout = settings["timeout"]
    if backend == "tensorflow":
        from keras_involution.distribution._tensorflow import TensorFlowDistribution

        return TensorFlowDistribution(request, hosts, timeout=timeout)
    from keras_involution.distribution._torch import TorchDistribution

    return TorchDistribution(request, hosts, timeout=timeout)
