"""Dtype and layout of the torch tensors that the kernels read without a copy."""

from __future__ import annotations

import torch

from keras_involution.ops._geometry import Geometry
from keras_involution.ops._layout import tap_step, window_axes


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the sums."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def with_plain_taps(kernels: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """The kernels with one step between neighboring taps of the whole window."""
    step = tap_step(kernels.stride(), geometry)
    for axis in reversed(window_axes(geometry)):
        if kernels.shape[axis] > 1 and kernels.stride(axis) != step:
            return kernels.contiguous()
        step *= kernels.shape[axis]
    return kernels
