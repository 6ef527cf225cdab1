"""Converts inputs of the student to inputs of the teacher."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_involution import RedNetImageConverter
from keras_involution._typing import Tensor

MEAN, SCALE = 127.0, 128.0
"""EfficientNet-Lite takes images scaled as `(pixels - 127) / 128`."""


class FromStudent(keras.layers.Layer):
    """Undoes the scaling of `RedNetImageConverter`, rescales, and resizes to a square.

    Args:
        image_size: Integer, side of the outputs.
    """

    def __init__(self, image_size: int) -> None:
        super().__init__(dtype="float32", trainable=False)
        self.image_size = image_size
        converter = RedNetImageConverter(data_format="channels_last")
        scale, offset = np.array(converter.scale), np.array(converter.offset)
        self.factor = (1 / (scale * SCALE)).astype("float32")
        self.shift = ((-offset / scale - MEAN) / SCALE).astype("float32")

    def call(self, inputs: Tensor) -> Tensor:
        # Scale before enlarging, when there are fewer pixels; both steps are linear.
        x = ops.add(ops.multiply(inputs, self.factor), self.shift)
        size = (self.image_size, self.image_size)
        return ops.image.resize(
            x, size, interpolation="bilinear", data_format="channels_last"
        )

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], self.image_size, self.image_size, input_shape[-1])
