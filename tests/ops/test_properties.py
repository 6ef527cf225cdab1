"""Random geometries: every implementation equals the definition."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from keras import ops

from keras_involution.ops import _reference, available_implementations, involution
from keras_involution.ops._implementation import named
from keras_involution.ops.involution import IMPLEMENTATIONS
from tests.gradients import value_and_gradients
from tests.ops.cases import Case, tolerance


@st.composite
def cases(draw, ranks=(2, 1, 3), data_formats=("channels_last", "channels_first")):
    """Random geometries. The first choices are the most likely and not trivial."""
    rank = draw(st.sampled_from(ranks))
    channels = draw(st.integers(2, 12))
    divisors = [n for n in range(1, channels + 1) if channels % n == 0]
    sides = st.sampled_from((3, 5, 1) if rank < 3 else (3, 1))

    def each(values) -> tuple[int, ...]:
        return tuple(draw(values) for _ in range(rank))

    return Case(
        sizes=each(st.sampled_from((5, 8, 3, 4, 2, 1) if rank < 3 else (3, 4, 1))),
        window=each(sides),
        groups=draw(st.sampled_from(divisors)),
        channels=channels,
        batch=draw(st.integers(1, 2)),
        strides=each(st.sampled_from((2, 1, 3))),
        dilation_rate=each(st.sampled_from((2, 1, 3))),
        data_format=draw(st.sampled_from(data_formats)),
    )


# Always tested: different sides, strides and dilations, in groups.
WITH_ALL = Case((8, 7), (3, 5), 3, 6, 1, strides=(2, 1), dilation_rate=(1, 2))
# On compiling backends, every example compiles a program.
few_examples = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize(
    "name", [n for n in available_implementations() if n != "pallas"]
)
@few_examples
@example(case=WITH_ALL, seed=0)
@example(case=replace(WITH_ALL, data_format="channels_first"), seed=0)
@given(case=cases(), seed=st.integers(0, 1000))
def test_any_geometry_equals_the_definition(name, case, seed):
    equals_the_definition(name, case, seed)


@pytest.mark.skipif(
    "pallas" not in available_implementations(), reason="Written for JAX."
)
@settings(few_examples, max_examples=4)
@example(case=WITH_ALL, seed=0)
@given(case=cases((2,), ("channels_last",)), seed=st.integers(0, 1000))
def test_any_geometry_of_pallas_equals_the_definition(case, seed):
    equals_the_definition("pallas", case, seed)


def equals_the_definition(name: str, case: Case, seed: int) -> None:
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
        # Sums can cancel, so the error is relative to the sum of absolute values.
        scale = max(np.linalg.norm(wanted), terms**0.5 * wanted.size**0.5)
        assert error <= tolerance("float32", terms) * scale
