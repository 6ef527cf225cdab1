"""Generalized-mean pooling."""

from __future__ import annotations

from typing import Any

import keras

from keras_involution import _arguments, _strict
from keras_involution._arguments import received
from keras_involution._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_involution")
class GeneralizedMeanPooling2D(keras.layers.Layer):
    """Generalized mean over the positions of a feature map.

    `mean(max(x, epsilon) ** p) ** (1 / p)` is the average for `p=1` and nearly the
    maximum for a large `p`.

    Args:
        p: Float, the power.
        epsilon: Float, the lower bound for the values of the map.
        cells: Integer or tuple of 2, the number of rows and columns into which the map
            is divided. Each cell is pooled separately, which preserves the position of
            marks in the image. 1 pools the whole map.
        trainable_p: Boolean, whether the power is learned.
        data_format: `"channels_last"` or `"channels_first"`; `None` uses Keras's
            global setting.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Call arguments:
        inputs: Floating-point tensor.

    Input shape:
        (B, H, W, C), or (B, C, H, W) channels first.

    Output shape:
        (B, rows * columns * C)

    Returns:
        Tensor, the cells concatenated row by row.

    Raises:
        ValueError: If `p` or `epsilon` is not positive, or `cells` is not two positive
            integers.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.pooling import GeneralizedMeanPooling2D
    >>> pool = GeneralizedMeanPooling2D(p=3.0, data_format="channels_last")
    >>> x = np.array([1.0, 2.0, 3.0, 4.0], "float32").reshape(1, 2, 2, 1)
    >>> round(float(pool(x)[0, 0]), 4)
    2.924

    Reference:
        Radenović et al., "Fine-tuning CNN Image Retrieval with No Human Annotation",
        2018, https://arxiv.org/abs/1711.02512
    """

    def __init__(
        self,
        p: float = 3.0,
        epsilon: float = 1e-6,
        cells: int | tuple[int, ...] = 1,
        trainable_p: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        _strict.check_constructor(self, kwargs)
        super().__init__(**kwargs)
        for name, value in (("p", p), ("epsilon", epsilon)):
            if not value > 0:
                raise ValueError(
                    f"`{name}` must be positive. {received(**{name: value})}"
                )
        self.p, self.epsilon = float(p), float(epsilon)
        self.cells = _arguments.spatial_tuple(cells, 2, "cells")
        self.trainable_p = trainable_p
        self.data_format = _arguments.standard_data_format(data_format)
        self.input_spec = keras.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        if self.trainable_p:
            self.power = self.add_weight(
                shape=(), initializer=keras.initializers.Constant(self.p), name="power"
            )
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        ops = keras.ops
        power = self.power if self.trainable_p else self.p
        # Powers of half-precision numbers overflow or underflow.
        x = ops.cast(inputs, "float32")
        x = ops.power(ops.maximum(x, self.epsilon), power)
        x = self._means(x)
        return ops.cast(ops.power(x, 1.0 / power), self.compute_dtype)

    def _means(self, x: Tensor) -> Tensor:
        ops, first = keras.ops, self.data_format == "channels_first"
        if self.cells == (1, 1):
            return ops.mean(x, axis=(2, 3) if first else (1, 2))
        x = ops.adaptive_average_pool(x, self.cells, data_format=self.data_format)
        x = ops.transpose(x, (0, 2, 3, 1)) if first else x
        return ops.reshape(x, (-1, self.cells[0] * self.cells[1] * x.shape[-1]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        channels = input_shape[1 if self.data_format == "channels_first" else -1]
        if channels is not None:
            channels *= self.cells[0] * self.cells[1]
        return (input_shape[0], channels)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            p=self.p,
            epsilon=self.epsilon,
            cells=self.cells,
            trainable_p=self.trainable_p,
            data_format=self.data_format,
        )
        return config
