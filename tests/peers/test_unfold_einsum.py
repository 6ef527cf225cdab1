"""The operator equals an independent reference: unfold and einsum in float64."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution.ops import involution

CASES = 300


def unfolded(x, kernels, strides, dilation) -> np.ndarray:
    """(B, H, W, C) and (B, Ho, Wo, G, Kh, Kw): windows as a view, one einsum."""
    channels = x.shape[-1]
    groups, *window = kernels.shape[3:]
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, window)]
    padding = [((span - 1) // 2,) * 2 for span in spans]
    padded = np.pad(x, [(0, 0), *padding, (0, 0)])
    views = np.lib.stride_tricks.sliding_window_view(padded, spans, (1, 2))
    views = views[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]
    views = views.reshape(
        *views.shape[:3], groups, channels // groups, *views.shape[4:]
    )
    y = np.einsum("bhwgckl,bhwgkl->bhwgc", views, kernels)
    return y.reshape(*y.shape[:3], channels)


def drawn(seed: int):
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 5))
    channels = groups * int(rng.integers(1, 5))
    sides = rng.integers(1, 10, 2)
    window = 2 * rng.integers(0, 4, 2) + 1
    strides, dilation = rng.integers(1, 4, 2), rng.integers(1, 4, 2)
    batch = int(rng.integers(1, 3))
    outputs = -(-sides // strides)
    x = rng.normal(size=(batch, *sides, channels))
    kernels = rng.normal(size=(batch, *outputs, groups, *window))
    return x, kernels, tuple(map(int, strides)), tuple(map(int, dilation))


@pytest.mark.parametrize("part", range(6))
def test_random_cases(part):
    for seed in range(part, CASES, 6):
        x, kernels, strides, dilation = drawn(seed)
        expected = unfolded(x, kernels, strides, dilation)
        y = involution(
            keras.ops.convert_to_tensor(x, "float32"),
            keras.ops.convert_to_tensor(kernels, "float32"),
            strides=strides,
            dilation_rate=dilation,
            data_format="channels_last",
        )
        answer = keras.ops.convert_to_numpy(y)
        assert answer.shape == expected.shape
        scale = unfolded(np.abs(x), np.abs(kernels), strides, dilation)
        assert (np.abs(answer - expected) <= 1e-5 * scale + 1e-7).all(), seed
