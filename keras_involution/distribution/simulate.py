"""Simulates several devices on a CPU, for experiments."""

from __future__ import annotations

import keras

from keras_involution import _arguments
from keras_involution._arguments import received


def simulate_devices(count: int) -> None:
    """Makes the CPU appear as several devices, on JAX and TensorFlow.

    The devices share the cores, so training is not faster. Call this function before
    the backend computes anything. On PyTorch, start several processes with torchrun
    instead.

    Args:
        count: Integer, the number of devices.

    Raises:
        ValueError: If the backend is PyTorch, or has already started computing.

    Example:

    ```python
    keras_involution.distribution.simulate_devices(4)
    with keras_involution.distribution.distribute():
        ...
    ```
    """
    _arguments.positive_integer(count, "count")
    backend = keras.config.backend()
    if backend == "torch":
        raise ValueError(
            "PyTorch runs one process per device; start several with torchrun. "
            f"{received(backend=backend)}"
        )
    try:
        _jax(count) if backend == "jax" else _tensorflow(count)
    except RuntimeError as error:
        raise ValueError(
            "The backend has already started computing; call this function first. "
            + received(count=count)
        ) from error


def _jax(count: int) -> None:
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", count)


def _tensorflow(count: int) -> None:
    import tensorflow as tf

    processor = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    tf.config.set_logical_device_configuration(processor, parts)
