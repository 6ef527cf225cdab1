"""The layer in one and three dimensions, compared with two dimensions."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from keras_involution.layers import Involution1D, Involution2D, Involution3D


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def copy_weights(source, target) -> None:
    """Copies weights between ranks: pointwise kernels differ only in axes of 1."""
    values = [
        np.reshape(ours, theirs.shape)
        for ours, theirs in zip(source.get_weights(), target.weights)
    ]
    target.set_weights(values)


@pytest.mark.parametrize("strides", (1, 2))
def test_one_dimension_is_two_with_a_side_of_one(strides, data_format):
    axis = 1 if data_format == "channels_last" else 2
    common = {"groups": 2, "data_format": data_format}
    line = Involution1D(5, strides=strides, **common)
    image = Involution2D((1, 5), strides=(1, strides), **common)
    x = noise(2, 9, 8) if data_format == "channels_last" else noise(2, 8, 9)
    y, kernels = line(x, return_kernels=True)
    image.build(np.expand_dims(x, axis).shape)
    copy_weights(line, image)
    expected = ops.squeeze(image(np.expand_dims(x, axis)), axis)
    assert_near(y, expected)
    assert tuple(line.compute_output_shape(x.shape)) == tuple(y.shape)
    assert len(kernels.shape) == 4


@pytest.mark.parametrize("strides", (1, 2))
def test_three_dimensions_of_which_one_is_one_are_two(strides, data_format):
    axis = 1 if data_format == "channels_last" else 2
    common = {"groups": 2, "data_format": data_format}
    volume = Involution3D((1, 3, 5), strides=(1, strides, strides), **common)
    image = Involution2D((3, 5), strides=strides, **common)
    x = noise(2, 6, 7, 8) if data_format == "channels_last" else noise(2, 8, 6, 7)
    expected = image(x)
    volume.build(np.expand_dims(x, axis).shape)
    copy_weights(image, volume)
    y = volume(np.expand_dims(x, axis))
    assert_near(ops.squeeze(y, axis), expected)


def test_depth_takes_part():
    volume = Involution3D(3, data_format="channels_last")
    x = noise(1, 4, 4, 4, 4)
    y = ops.convert_to_numpy(volume(x))
    changed = x.copy()
    changed[:, 0] += 1
    difference = np.abs(ops.convert_to_numpy(volume(changed)) - y).max((0, 2, 3, 4))
    assert (difference > 0).tolist() == [True, True, False, False]


def assert_near(a, b) -> None:
    a, b = ops.convert_to_numpy(a), ops.convert_to_numpy(b)
    assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(b)
