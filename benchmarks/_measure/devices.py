"""Chooses the device of a benchmark before Keras is imported."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_involution._measure.devices import Device


class Unavailable(RuntimeError):
    """The requested device is not available."""


def open_device(device: str) -> Device:
    """Opens `"cpu"`, `"gpu"`, `"tpu"`, or with `"auto"` the default of the backend."""
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ["JAX_PLATFORMS"] = "cpu"
        os.environ["KERAS_TORCH_DEVICE"] = "cpu"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Several processes are measured in turn, so none may reserve the whole GPU memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    import keras

    from keras_involution._measure.devices import running_device

    opened = running_device()
    if device not in ("auto", opened.kind):
        raise Unavailable(
            f"{keras.config.backend()} does not find this device, only {opened.kind}. "
            f"Received: --device={device}"
        )
    return opened
