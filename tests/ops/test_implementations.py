"""Every implementation equals the definition: values and both gradients."""

from __future__ import annotations

import math
import os

import keras
import numpy as np
import pytest
from keras import ops

from keras_involution.ops import _reference, available_implementations
from keras_involution.ops._implementation import named
from keras_involution.ops.involution import IMPLEMENTATIONS, involution
from tests.gradients import value_and_gradients
from tests.marks import torch_first
from tests.ops.cases import CASES, CASES_OF_DTYPE, tolerance

REQUIRED = os.environ.get("KERAS_INVOLUTION_REQUIRE", "").split(",")


def run(case, dtype: str, implementation: str):
    """(outputs, dx, dkernels, reference outputs, reference gradients)."""
    x, k, dy, geometry = case.tensors(dtype)
    tensors = [ops.convert_to_tensor(a, dtype=dtype) for a in (x, k, dy)]
    reason = named(IMPLEMENTATIONS, implementation).unsupported_reason(
        tensors[0], tensors[1], geometry
    )
    if reason is not None and implementation not in REQUIRED:
        pytest.skip(reason)

    def call(inputs, kernels):
        return involution(
            inputs,
            kernels,
            strides=case.strides,
            dilation_rate=case.dilation_rate,
            data_format=case.data_format,
            implementation=implementation,
        )

    results = value_and_gradients(call, *tensors)
    expected = (
        _reference.involution(x, k, geometry),
        *_reference.gradients(x, k, dy, geometry),
    )
    return results, expected, geometry


def assert_close(result, expected: np.ndarray, dtype: str, terms: int) -> None:
    assert keras.backend.standardize_dtype(result.dtype) == dtype
    result = ops.convert_to_numpy(result).astype("float64")
    assert result.shape == expected.shape
    error = np.linalg.norm(result - expected)
    scale = np.linalg.norm(expected)
    assert error <= tolerance(dtype, terms) * scale


def assert_definition(case, dtype: str, implementation: str) -> None:
    (y, dx, dk), (ref_y, ref_dx, ref_dk), geometry = run(case, dtype, implementation)
    taps = math.prod(geometry.kernel_size)
    assert_close(y, ref_y, dtype, taps)
    assert_close(dx, ref_dx, dtype, taps)
    assert_close(dk, ref_dk, dtype, geometry.group_channels)


def cases() -> list:
    """Half precision compiles again, so other backends than torch test it later."""
    return [
        pytest.param(case, dtype, marks=torch_first)
        if dtype != "float32" and case != CASES[0]
        else (case, dtype)
        for case, dtype in CASES_OF_DTYPE
    ]


@pytest.mark.parametrize("case, dtype", cases(), ids=str)
@pytest.mark.parametrize("implementation", available_implementations())
def test_equals_the_definition(implementation, case, dtype):
    assert_definition(case, dtype, implementation)
