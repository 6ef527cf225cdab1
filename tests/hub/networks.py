"""Small networks for the preset tests, with weights that are all different."""

from __future__ import annotations

import keras
import numpy as np

from keras_involution import RedNetBackbone, RedNetImageClassifier, RedNetImageConverter

CLASS_NAMES = ["dolphin", "porpoise", "whale"]
TINY = {
    "stackwise_num_filters": [32, 32],
    "stackwise_num_blocks": [1, 1],
    "stackwise_strides": [1, 2],
    "kernel_size": 3,
}


def tiny_backbone(**kwargs) -> RedNetBackbone:
    """A RedNet of two blocks with weights from a fixed seed."""
    arguments = {**TINY, "data_format": "channels_last", **kwargs}
    return with_drawn_weights(RedNetBackbone(**arguments))


def tiny_classifier(backbone=None, **kwargs) -> RedNetImageClassifier:
    """A classifier of three named classes on `tiny_backbone`."""
    converter = RedNetImageConverter(
        (32, 32), scale=1 / 64, offset=-2.0, data_format="channels_last"
    )
    arguments = {"preprocessor": converter, "class_names": CLASS_NAMES, **kwargs}
    model = RedNetImageClassifier(
        backbone or tiny_backbone(), arguments.pop("num_classes", 3), **arguments
    )
    return with_drawn_weights(model)


def with_drawn_weights(model):
    """`model` with positive weights that differ between layers."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.05, 0.15, w.shape) for w in model.weights])
    return model


def raw_images() -> np.ndarray:
    """Two images (2, 40, 48, 3) of values 0 to 255."""
    return np.random.default_rng(1).integers(0, 256, (2, 40, 48, 3), "uint8")


def outputs(model) -> np.ndarray:
    """The outputs of `model` for `raw_images()`, with its own preprocessing."""
    prepared = model.preprocessor(raw_images())
    # A call, since `predict` compiles every network.
    values = keras.ops.stop_gradient(model(prepared, training=False))
    return keras.ops.convert_to_numpy(values)


def assert_same_weights(model, expected) -> None:
    assert len(model.weights) == len(expected.weights) > 0
    for weight, other in zip(model.get_weights(), expected.get_weights()):
        np.testing.assert_array_equal(weight, other)
