"""Average pooling of images of unknown size."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from keras_involution._typing import Tensor
from keras_involution.layers._centered import by_planes


def means_of_windows(inputs: Tensor, pool: layers.Layer) -> Tensor:
    """The outputs of the average pooling layer `pool` for `inputs`.

    Keras pads by the amount that is missing at the border. For a symbolic size it pads
    by the amount for the example's size, or JAX cannot compare the size of the result
    with other sizes. Here all sizes are padded equally, and each sum is divided by the
    number of elements in its window.
    """
    if keras.config.backend() == "torch" and inputs.ndim == 4:
        return _torch_means(inputs, pool)
    axes = range(2, inputs.ndim) if _first(pool) else range(1, inputs.ndim - 1)
    # TensorFlow's pooling supports unknown sizes (`None`).
    is_open = any(not isinstance(inputs.shape[a], int | None) for a in axes)
    # Longer windows may begin before the border, at an offset that depends on the size.
    if not is_open or max(pool.strides) > 2:
        return pool(inputs)
    ones = ops.ones_like(inputs[:1, :1] if _first(pool) else inputs[:1, ..., :1])
    return _sums(inputs, axes, pool) / _sums(ones, axes, pool)


def _torch_means(x: Any, pool: Any) -> Any:
    """Keras would copy a channels-last image."""
    import torch

    def means(x: Any) -> Any:
        pooling = torch.nn.functional.avg_pool2d
        return pooling(x, pool.pool_size, pool.strides, ceil_mode=True)

    return by_planes(means, x, pool.data_format)


def _sums(x: Tensor, axes: range, pool: Any) -> Tensor:
    """The sums over the windows, each divided by the same number."""
    widths = [(0, 0)] * x.ndim
    for axis, step in zip(axes, pool.strides):
        widths[axis] = (0, step - 1)
    x = ops.pad(x, widths)
    return ops.average_pool(x, pool.pool_size, pool.strides, "valid", pool.data_format)


def _first(pool: Any) -> bool:
    return pool.data_format == "channels_first"
