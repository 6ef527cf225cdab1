"""Keras's own checks of layers and of serialization, run on our layers."""

from __future__ import annotations

import pytest

from keras_involution.layers import (
    BatchNormalization,
    Involution1D,
    Involution2D,
    Involution3D,
)
from keras_involution.layers._pointwise import PointwiseConv2D
from keras_involution.models.residual_add import StochasticDepthAdd
from keras_involution.whale_id.pooling import GeneralizedMeanPooling2D

test_case = pytest.importorskip("keras.src.testing.test_case")
pytestmark = pytest.mark.filterwarnings(
    # Warnings of the checks themselves: old types, tensors for lists of one.
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
    r"ignore:The structure of `inputs` doesn't match:UserWarning",
    "ignore:`shuffle=True` was passed, but will be ignored:UserWarning",
)

LAST = {"data_format": "channels_last"}
INVOLUTION = {"kernel_size": 3, "groups": 2, **LAST}
# Class, arguments, shapes of inputs and outputs, trainable and other weights.
LAYERS = {
    "1D": (Involution1D, INVOLUTION, (2, 7, 4), (2, 7, 4), 5, 2),
    "1D, strides": (
        *(Involution1D, {**INVOLUTION, "strides": 2}, (2, 7, 4), (2, 4, 4), 5, 2),
    ),
    "2D": (Involution2D, INVOLUTION, (2, 6, 5, 4), (2, 6, 5, 4), 5, 2),
    "2D, strides and regularizer": (
        *(Involution2D, {**INVOLUTION, "strides": 2, "kernel_regularizer": "l2"}),
        *((2, 6, 5, 4), (2, 3, 3, 4), 5, 2),
    ),
    "3D": (Involution3D, INVOLUTION, (2, 4, 3, 5, 4), (2, 4, 3, 5, 4), 5, 2),
    "batch normalization": (BatchNormalization, {}, (2, 4, 3), (2, 4, 3), 2, 2),
    "1x1 convolution": (
        *(PointwiseConv2D, {"filters": 3, "kernel_size": 1, "strides": 2, **LAST}),
        *((2, 5, 4, 2), (2, 3, 2, 3), 2, 0),
    ),
    "generalized mean": (
        *(GeneralizedMeanPooling2D, {"trainable_p": True, **LAST}),
        *((2, 5, 4, 3), (2, 3), 1, 0),
    ),
}


@pytest.fixture
def checks():
    case = test_case.TestCase()
    yield case
    case.doCleanups()


@pytest.mark.parametrize("name", LAYERS)
def test_layer(checks, name):
    cls, arguments, inputs, outputs, trainable, others = LAYERS[name]
    checks.run_layer_test(
        cls,
        init_kwargs=arguments,
        input_shape=inputs,
        expected_output_shape=outputs,
        expected_num_trainable_weights=trainable,
        expected_num_non_trainable_weights=others,
        expected_num_losses=2 if "kernel_regularizer" in arguments else 0,
    )


def test_sum_with_stochastic_depth(checks):
    checks.run_layer_test(
        StochasticDepthAdd,
        init_kwargs={"rate": 0.5},
        input_shape=[(2, 4, 4, 3), (2, 4, 4, 3)],
        expected_output_shape=(2, 4, 4, 3),
        expected_num_seed_generators=1,
        expected_num_non_trainable_variables=1,
        run_training_check=False,
    )


@pytest.mark.parametrize("name", LAYERS)
def test_serialization(checks, name):
    cls, arguments, *_ = LAYERS[name]
    checks.run_class_serialization_test(cls(**arguments))
