"""Small networks whose weights, statistics and residual branches all have effect."""

from __future__ import annotations

import keras
import numpy as np

from keras_involution import RedNetBackbone, RedNetImageClassifier
from keras_involution.layers import Involution2D

TINY = {
    "stackwise_num_filters": [32],
    "stackwise_num_blocks": [1],
    "stackwise_strides": [2],
    "kernel_size": 3,
}


def classifier(dtype=None, pooling="avg", **kwargs) -> RedNetImageClassifier:
    backbone = RedNetBackbone(**{**TINY, "dtype": dtype, **kwargs})
    return drawn(RedNetImageClassifier(backbone, 3, pooling=pooling))


def involution(data_format: str, **kwargs) -> keras.Model:
    """One layer with strides and a window that is not square."""
    channels_last = data_format == "channels_last"
    shape = (None, None, 4) if channels_last else (4, None, None)
    layer = Involution2D((1, 3), 2, 2, data_format=data_format, **kwargs)
    return drawn(keras.Sequential([keras.Input(shape, name="maps"), layer]))


def drawn(model):
    rng = np.random.default_rng(0)
    ranges = {
        "gamma": (0.6, 1.2),
        "moving_variance": (0.5, 1.5),
        "beta": (-0.3, 0.3),
        "moving_mean": (-0.3, 0.3),
        "bias": (-0.3, 0.3),
    }

    def values(weight):
        name = weight.path.rsplit("/", 1)[-1]
        if name in ranges:
            return rng.uniform(*ranges[name], weight.shape)
        return rng.normal(0, np.prod(weight.shape[:-1]) ** -0.5, weight.shape)

    model.set_weights([values(weight) for weight in model.weights])
    return model


def inputs(batch: int, height: int, width: int, data_format="channels_last", c=3):
    x = np.random.default_rng(height).normal(size=(batch, height, width, c))
    x = x.transpose(0, 3, 1, 2) if data_format == "channels_first" else x
    return np.ascontiguousarray(x, "float32")
