"""Random geometries: what has gradients of its own equals the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import ops

from keras_involution.ops import _reference, available_implementations, involution
from keras_involution.ops._implementation import named
from keras_involution.ops.involution import IMPLEMENTATIONS
from tests.gradients import value_and_gradients
from tests.ops.cases import Case, tolerance


@st.composite
def cases(draw) -> Case:
    rank = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 3))
    sides = st.sampled_from((1, 3, 5) if rank < 3 else (1, 3))

    def each(values) -> tuple[int, ...]:
        return tuple(draw(values) for _ in range(rank))

    return Case(
        sizes=each(st.integers(1, 9 if rank < 3 else 4)),
        window=each(sides),
        groups=groups,
        channels=groups * draw(st.integers(1, 5)),
        batch=draw(st.integers(1, 2)),
        strides=each(st.integers(1, 3)),
        dilation_rate=each(st.integers(1, 3)),
        data_format=draw(st.sampled_from(("channels_last", "channels_first"))),
    )


# Every example compiles a program of its own where the backend compiles.
@pytest.mark.parametrize(
    "name", [n for n in ("cpp", "native") if n in available_implementations()]
)
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(case=cases(), seed=st.integers(0, 1000))
def test_any_geometry_equals_the_definition(name, case, seed):
    x, k, dy, geometry = case.tensors(seed=seed)
    tensors = [ops.convert_to_tensor(a) for a in (x, k, dy)]
    reason = named(IMPLEMENTATIONS, name).unsupported_reason(*tensors[:2], geometry)
    if reason is not None:
        pytest.skip(reason)

    def call(inputs, kernels):
        layout = (case.strides, case.dilation_rate, case.data_format)
        return involution(inputs, kernels, *layout, implementation=name)

    results = value_and_gradients(call, *tensors)
    expected = (
        _reference.involution(x, k, geometry),
        *_reference.gradients(x, k, dy, geometry),
    )
    terms = max(math.prod(case.window), geometry.group_channels)
    for result, wanted in zip(results, expected):
        error = np.linalg.norm(ops.convert_to_numpy(result) - wanted)
        # A sum can cancel: the error is measured against what was added up.
        scale = max(np.linalg.norm(wanted), terms**0.5 * wanted.size**0.5)
        assert error <= tolerance("float32", terms) * scale
