"""A small RedNet with four stages for detectors and segmenters, and its training."""

from __future__ import annotations

import keras
import numpy as np

PYRAMID = {
    "stackwise_num_filters": [4, 4, 8, 8],
    "stackwise_num_blocks": [1, 1, 1, 1],
    "kernel_size": 3,
    "group_channels": 2,
}
SHORT = {  # Two stages, since JAX compiles every operation for every shape.
    **PYRAMID,
    "stackwise_num_filters": [4, 4],
    "stackwise_num_blocks": [1, 1],
    "stackwise_strides": [1, 2],
}
SIDE = 64


def images() -> np.ndarray:
    """Two prepared images (2, 64, 64, 3)."""
    return np.random.default_rng(0).uniform(-1, 1, (2, SIDE, SIDE, 3)).astype("float32")


def boxes() -> np.ndarray:
    """One box per image (2, 1, 4): left, top, right, bottom."""
    return np.array([[[8, 8, 40, 40]], [[20, 20, 60, 60]]], "float32")


def masks() -> np.ndarray:
    """One-hot masks of two classes (2, 64, 64, 2)."""
    classes = np.random.default_rng(1).integers(0, 2, (2, SIDE, SIDE))
    return np.eye(2, dtype="float32")[classes]


def compiled(task, **arguments):
    """Compiles `task`; eager on TensorFlow, where compilation takes longest."""
    backend = keras.config.backend()
    task.compile(
        **arguments, run_eagerly=backend == "tensorflow", jit_compile=backend == "jax"
    )
    return task


def assert_trains(task, backbone, x, y, **arguments) -> None:
    """Checks that `fit` changes the first and last convolutions of the backbone.

    It takes three steps, since layers before a branch that starts at zero change later.
    With dropout and so few steps, the loss may not decrease.
    """
    first, *_, last = (
        layer for layer in backbone.layers if layer.name.endswith("_conv")
    )
    before = [layer.get_weights()[0] for layer in (first, last)]
    history = task.fit(x, y, batch_size=2, epochs=3, verbose=0, **arguments).history
    assert np.isfinite(history["loss"]).all()
    for layer, weights in zip((first, last), before):
        assert np.abs(layer.get_weights()[0] - weights).max() > 0, layer.name
