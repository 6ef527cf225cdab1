"""Loads weights of the involution layer in the keras.io example.

The layer in the example (https://keras.io/examples/vision/involution) differs: its
groups are interleaved, its first convolution has a bias, and with strides its "same"
padding puts the zeros in other places.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_involution._arguments import received
from keras_involution.layers.involution_2d import Involution2D

_EPSILON = 1e-3  # of the example's batch normalization


def load_keras_example(
    layer: Involution2D, weights: Sequence[np.ndarray]
) -> np.ndarray:
    """Loads weights of the layer in the keras.io involution example.

    A group of the example consists of every `groups`-th channel; a group of
    `Involution2D` consists of adjacent channels. With `order`, the result of this
    function, `layer(x[..., order])` equals `example(x)[..., order]` at inference.

    Args:
        layer: Built `Involution2D` with strides of 1 and channels last.
        weights: The 8 arrays that `get_weights()` returns for the example's layer:
            kernel and bias, four arrays of batch normalization, kernel and bias.

    Returns:
        Array (C,) of integers, the channels of the example in the order of `layer`.
        With one group they are 0 to C - 1.

    Raises:
        ValueError: If the arrays have other shapes, or `layer` has strides above 1, for
            which the two layers pad an image differently.

    Example:

    >>> import numpy as np
    >>> from keras_involution.layers import Involution2D, load_keras_example
    >>> layer = Involution2D(3, groups=2, reduction_ratio=2)
    >>> layer.build((None, 8, 8, 4))
    >>> shapes = [(1, 1, 4, 2), (2,), (2,), (2,), (2,), (2,), (1, 1, 2, 18), (18,)]
    >>> load_keras_example(layer, [np.ones(shape) for shape in shapes]).tolist()
    [0, 2, 1, 3]
    """
    _check_layer(layer)
    kernel, bias, gamma, beta, mean, variance, span_kernel, span_bias = _checked(
        layer, weights
    )
    groups, channels = layer.groups, kernel.shape[2]
    order = np.arange(channels).reshape(-1, groups).T.ravel()

    def by_groups(array: np.ndarray) -> np.ndarray:
        """(..., taps * groups) to (..., groups * taps)."""
        apart = array.reshape(*array.shape[:-1], -1, groups)
        return np.swapaxes(apart, -1, -2).reshape(array.shape)

    layer.reduce.set_weights([kernel[:, :, order]])
    # `Involution2D` has no bias before the normalization, and another epsilon.
    variance = variance + (_EPSILON - layer.epsilon)
    layer.reduce_norm.set_weights([gamma, beta, mean - bias, variance])
    layer.span.set_weights([by_groups(span_kernel), by_groups(span_bias)])
    return order


def _check_layer(layer: Involution2D) -> None:
    if not isinstance(layer, Involution2D) or not layer.built:
        raise ValueError(
            f"`layer` must be a built Involution2D. {received(layer=layer)}"
        )
    if layer.data_format != "channels_last" or max(layer.strides) > 1:
        raise ValueError(
            "The layer must have channels last, as in the example, and strides of 1: "
            "with strides, the example's padding depends on the size of the image. "
            + received(data_format=layer.data_format, strides=layer.strides)
        )


def _checked(layer: Involution2D, weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    reduced, taps = layer.reduce.kernel.shape[-1], layer.span.kernel.shape[-1]
    channels = layer.reduce.kernel.shape[-2]
    expected = [(1, 1, channels, reduced), *[(reduced,)] * 5]
    expected += [(1, 1, reduced, taps), (taps,)]
    arrays = [np.asarray(array, "float64") for array in weights]
    shapes = [array.shape for array in arrays]
    if shapes != expected:
        raise ValueError(
            f"`weights` must have the shapes {expected}. {received(shapes=shapes)}"
        )
    return arrays
