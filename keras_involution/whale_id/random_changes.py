"""What Keras has no layer for: noise of 0 to 255, shuffled cells, snow and rain."""

from __future__ import annotations

import abc
from typing import Any

import keras
import numpy as np

from keras_involution import _arguments
from keras_involution._typing import Shape, Tensor

_SECTIONS = """

    Call arguments:
        inputs: Floating-point tensor, images of values 0 to 255.
        training: Boolean, whether anything is done at all.

    Input shape:
        (B, H, W, C)

    Output shape:
        (B, H, W, C)

    Returns:
        Tensor, images.

    Raises:
        ValueError: If `rate` is not between 0 and 1.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.random_changes import {name}
    >>> x = np.full((4, 16, 16, 3), 60.0, "float32")
    >>> tuple({name}(rate=1.0, seed=1)(x, training=True).shape)
    (4, 16, 16, 3)

    Reference:
        `{name}` of albumentations.
    """


class _RandomChange(keras.layers.Layer, abc.ABC):
    """With a probability each, images become what `change` makes of them."""

    def __init__(self, rate: float = 0.1, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate, self.seed = _arguments.rate(rate, "rate"), seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not training:
            return inputs
        shape = (keras.ops.shape(inputs)[0], 1, 1, 1)
        chance = keras.random.uniform(shape, seed=self.generator)
        return keras.ops.where(chance < self.rate, self.change(inputs), inputs)

    @abc.abstractmethod
    def change(self, images: Tensor) -> Tensor:
        """All images changed: (B, H, W, C) to the same."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_involution")
class RandomGridShuffle(_RandomChange):
    __doc__ = """Cuts an image into equal cells and lays them out in another order.

    Args:
        cells: Integer, rows and columns; both sides must be divisible by it.
        rate: Float, probability an image.
        seed: Integer; `None` draws one.
        **kwargs: Arguments of a Keras layer.""" + _SECTIONS.format(
        name="RandomGridShuffle"
    )

    def __init__(self, cells: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = _arguments.positive_integer(cells, "cells")

    def change(self, images: Tensor) -> Tensor:
        ops, n = keras.ops, self.cells
        batch, height, width, channels = ops.shape(images)
        _arguments.divisible(height, n, "height", "cells")
        _arguments.divisible(width, n, "width", "cells")
        split = (batch, n, height // n, n, width // n, channels)
        cells = ops.transpose(ops.reshape(images, split), (0, 1, 3, 2, 4, 5))
        shape = ops.shape(cells)
        cells = ops.reshape(cells, (batch, n * n, -1))
        order = ops.argsort(keras.random.uniform((batch, n * n), seed=self.generator))
        cells = ops.take_along_axis(cells, ops.expand_dims(order, -1), axis=1)
        cells = ops.transpose(ops.reshape(cells, shape), (0, 1, 3, 2, 4, 5))
        return ops.reshape(cells, (batch, height, width, channels))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cells": self.cells}


@keras.saving.register_keras_serializable(package="keras_involution")
class RandomNoise(_RandomChange):
    __doc__ = """Adds Gaussian noise; `keras.layers.GaussianNoise` is for values of 0
    to 1.

    Args:
        stddev: Float, the largest deviation; each image draws its own below it.
        rate: Float, probability an image.
        seed: Integer; `None` draws one.
        **kwargs: Arguments of a Keras layer.""" + _SECTIONS.format(name="RandomNoise")

    def __init__(self, stddev: float = 7.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = stddev

    def change(self, images: Tensor) -> Tensor:
        shape = keras.ops.shape(images)
        strength = keras.random.uniform(
            (shape[0], 1, 1, 1), 0.0, self.stddev, seed=self.generator
        )
        return images + strength * keras.random.normal(shape, seed=self.generator)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev}


@keras.saving.register_keras_serializable(package="keras_involution")
class RandomSnow(_RandomChange):
    __doc__ = """Whitens what is darker than a random level, as fresh snow does.

    Args:
        rate: Float, probability an image.
        seed: Integer; `None` draws one.
        **kwargs: Arguments of a Keras layer.""" + _SECTIONS.format(name="RandomSnow")

    def change(self, images: Tensor) -> Tensor:
        ops = keras.ops
        shape = (ops.shape(images)[0], 1, 1, 1)
        level = keras.random.uniform(shape, 25.0, 75.0, seed=self.generator)
        light = ops.mean(images, axis=-1, keepdims=True)
        return ops.minimum(ops.where(light < level, 2.5 * images, images), 255.0)


@keras.saving.register_keras_serializable(package="keras_involution")
class RandomRain(_RandomChange):
    __doc__ = """Draws light vertical streaks over a slightly darker image.

    Args:
        rate: Float, probability an image.
        seed: Integer; `None` draws one.
        **kwargs: Arguments of a Keras layer.""" + _SECTIONS.format(name="RandomRain")

    def change(self, images: Tensor) -> Tensor:
        ops = keras.ops
        batch, height, width, _ = ops.shape(images)
        drops = keras.random.uniform((batch, height, width, 1), seed=self.generator)
        drops = ops.cast(drops > 0.995, images.dtype)
        streak = np.ones((9, 1, 1, 1), "float32")
        streaks = ops.conv(drops, streak, padding="same", data_format="channels_last")
        streaks = ops.minimum(streaks, 1.0)
        return (0.8 * images) * (1.0 - 0.6 * streaks) + 200.0 * 0.6 * streaks
