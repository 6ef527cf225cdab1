"""The device that a benchmark runs on, chosen before anything imports Keras."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_involution._measure.devices import Device


class Unavailable(RuntimeError):
    """The device that was asked for is not there."""


def open_device(device: str) -> Device:
    """The running backend on `"cpu"`, `"gpu"`, `"tpu"`, or `"auto"`: what it finds."""
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ["JAX_PLATFORMS"] = "cpu"
        os.environ["KERAS_TORCH_DEVICE"] = "cpu"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Neither takes the whole memory of a GPU: several processes are measured by turns.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    import keras

    from keras_involution._measure.devices import running_device

    opened = running_device()
    if device not in ("auto", opened.kind):
        raise Unavailable(
            f"{keras.config.backend()} finds no such device here. "
            f"Received: --device={device} (it finds: {opened.kind})"
        )
    return opened
