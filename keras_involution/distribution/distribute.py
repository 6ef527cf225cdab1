"""One line that spreads a run over devices, processes and hosts."""

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
    """Finds the devices, starts what the backend needs, and returns a `with` block.

    Models that are built or loaded in the block train on all devices with `fit`, step
    for step as on one device with the whole batch. What the backend would ignore is
    refused.

    Args:
        devices: `"auto"` takes all TPUs, or else GPUs, or else the CPU. Or a kind
            (`"gpu"`), a number, or names (`"gpu:0,gpu:1"`). With several processes,
            the devices of each.
        strategy: `"data"`: every device has the whole model and a part of the batch.
            `"model"`, on JAX: the weights and the optimizer's state lie in parts on the
            devices.
        hosts: `Hosts`; `None` reads what launchers leave in the environment
            (`Hosts.from_environment`).
        model_devices: Integer, devices over which one copy of the model is spread by
            `layouts`; it must divide the devices of a process. `None` parts every
            weight over all devices, each of which also takes its part of the batch.
        layouts: Dictionary of a regular expression for whole variable paths -> tuple
            with `"model"`, `"batch"` or `None` for each dimension. `None` is that of
            RedNet.
        seed: Integer for weights and augmentation, the same in all processes of JAX;
            `None` draws one.
        timeout: Float, seconds in which the other processes must answer.
        verbose: Boolean, says in one line what the run is on.

    Returns:
        `Distribution`.

    Raises:
        ValueError: If there are not so many devices, or the backend cannot do it.

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
            "The weights of a model are sharded on JAX alone; the other backends would "
            f"ignore it. {received(strategy=strategy, backend=backend)}"
        )
    if strategy == "data" and (model_devices or layouts):
        raise ValueError(
            '`model_devices` and `layouts` belong to the strategy "model". '
            + received(strategy=strategy, model_devices=model_devices, layouts=layouts)
        )
    if model_devices is not None:
        _arguments.positive_integer(model_devices, "model_devices")
    elif layouts is not None:
        raise ValueError(
            "`layouts` say how a copy of the model is spread over `model_devices`. "
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
