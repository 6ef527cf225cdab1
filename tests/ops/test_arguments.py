"""Arguments that the operator rejects, and the messages."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution import ops


def call(inputs=(1, 6, 6, 8), kernels=(1, 6, 6, 2, 3, 3), **options):
    options.setdefault("data_format", "channels_last")
    return ops.involution(
        np.ones(inputs, "float32"), np.ones(kernels, "float32"), **options
    )


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"inputs": (6, 8)}, "one to three spatial dimensions.*Received: inputs_shape"),
        ({"inputs": (1, 6, 8)}, r"must have 4 dimensions.*Received: inputs_shape"),
        ({"kernels": (1, 6, 6, 3, 3, 3)}, r"divisible.*channels=8, groups=3"),
        ({"kernels": (1, 6, 6, 2, 3, 4)}, r"odd.*Received: kernel_size=\(3, 4\)"),
        ({"kernels": (1, 3, 6, 2, 3, 3)}, r"must have the shape.*Received: inputs_"),
        ({"kernels": (2, 6, 6, 2, 3, 3)}, r"must have the shape.*Received: inputs_"),
        ({"strides": 2}, r"\(1, 3, 3, 2, 3, 3\).*Received: inputs_shape"),
        ({"strides": 0}, r"positive.*Received: strides=0"),
        ({"dilation_rate": (1, 1, 1)}, r"tuple of 2.*Received: dilation_rate"),
        ({"data_format": "last"}, r"channels_last.*Received: data_format='last'"),
        ({"implementation": "best"}, r"'portable'.*Received: implementation='best'"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        call(**arguments)


def test_symbolic_inputs_are_checked_too():
    inputs = keras.Input((6, 6, 8))
    kernels = keras.Input((6, 6, 3, 3, 3))
    with pytest.raises(ValueError, match="divisible"):
        ops.involution(inputs, kernels, data_format="channels_last")


def test_symbolic_shapes_with_unknown_sizes():
    inputs = keras.Input((None, 7, 8))
    kernels = keras.Input((None, 4, 2, 3, 3))
    outputs = ops.involution(inputs, kernels, strides=2, data_format="channels_last")
    assert outputs.shape == (None, None, 4, 8)
    model = keras.Model([inputs, kernels], outputs)
    y = model.predict([np.ones((2, 5, 7, 8)), np.ones((2, 3, 4, 2, 3, 3))], verbose=0)
    assert y.shape == (2, 3, 4, 8)
    again = keras.Model.from_config(model.get_config())
    assert again.output_shape == model.output_shape


def test_inputs_of_two_dtypes_are_promoted():
    x, kernels = np.ones((1, 4, 8), "float16"), np.ones((1, 4, 2, 3), "float32")
    y = ops.involution(x, kernels, data_format="channels_last")
    assert keras.backend.standardize_dtype(y.dtype) == "float32"


@pytest.mark.parametrize("which", (0, 1))
def test_complex_numbers_are_refused(which):
    arrays = [np.ones((1, 4, 8), "float32"), np.ones((1, 4, 2, 3), "float32")]
    arrays[which] = arrays[which].astype("complex64")
    with pytest.raises(ValueError, match=r"must be real.*Received: .*complex64"):
        ops.involution(*arrays, data_format="channels_last")


@pytest.mark.parametrize("strides", [True, (True,), 1.0])
def test_known_geometries_are_not_found_for_other_types(strides):
    """Geometries are kept by their arguments, and `True == 1 == 1.0`."""
    arrays = np.ones((1, 4, 8), "float32"), np.ones((1, 4, 2, 3), "float32")
    for known in (1, (1,)):
        ops.involution(*arrays, strides=known, data_format="channels_last")
    with pytest.raises(ValueError, match=r"`strides` must be.*Received: strides="):
        ops.involution(*arrays, strides=strides, data_format="channels_last")
