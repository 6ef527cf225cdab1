"""Several devices out of one processor, to try things without the hardware."""

from __future__ import annotations

import keras

from keras_involution import _arguments
from keras_involution._arguments import received


def simulate_devices(count: int) -> None:
    """Makes the processor appear as several devices, on JAX and on TensorFlow.

    They share its cores, so nothing becomes faster. To be called before the backend
    computes anything. PyTorch takes several processes instead, which torchrun starts.

    Args:
        count: Integer.

    Raises:
        ValueError: If the backend is PyTorch, or has begun to compute.

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
            "PyTorch runs a process for every device: start several with torchrun. "
            f"{received(backend=backend)}"
        )
    try:
        _jax(count) if backend == "jax" else _tensorflow(count)
    except RuntimeError as error:
        raise ValueError(
            "The backend has begun to compute; devices are simulated before that. "
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
