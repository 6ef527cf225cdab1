"""Outputs and the gradient for the inputs in `keras.ops`: sums over the taps.

The forward pass pads the input once. It then adds, for each tap, a shifted slice times
that tap's weights. This is one expression, so no tensor of K * K times the input size
exists, and a compiler fuses it into one loop with the sum in a register. The gradient
for the inputs is the same sum, gathered at the mirrored offsets. With strides, each
phase of the input's grid is a separate sum.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_involution._typing import Tensor
from keras_involution.ops._arrays import (
    cut,
    merge_groups,
    merge_phases,
    merge_window,
    pad,
    pad_borders,
    split_groups,
    wide,
    windows,
)
from keras_involution.ops._geometry import Geometry


def outputs(geometry: Geometry, inputs: Tensor, kernels: Tensor) -> Tensor:
    """The outputs by group, in the dtype of the sums: (B, Ho, Wo, G, C/G)..."""
    padded = pad_borders(split_groups(inputs, geometry), geometry)
    sizes = [ops.shape(kernels)[axis] for axis in geometry.kernel_spatial_axes]
    weights = merge_window(kernels, geometry)
    total = None
    for number, window in enumerate(windows(padded, sizes, geometry)):
        weight = (
            weights[:, :, number] if geometry.channels_first else weights[..., number]
        )
        total = _add(total, _product(window, weight, geometry))
    return total


def input_gradient(
    geometry: Geometry, sizes: Sequence, kernels: Tensor, upstream: Tensor
) -> Tensor:
    """The gradient for the inputs, gathered phase by phase and merged.

    Args:
        geometry: `Geometry`.
        sizes: The spatial sizes of the inputs.
        kernels: Tensor, the kernels of the forward pass.
        upstream: Tensor of the shape of the outputs.

    Returns:
        Tensor of the shape of the inputs, in the dtype of `upstream`.
    """
    padding, strides = geometry.padding, geometry.strides
    first = [p // s for p, s in zip(padding, strides)]
    stop = [-(-(p + n) // s) for p, n, s in zip(padding, sizes, strides)]
    reach = geometry.steps(tuple(n - 1 for n in geometry.kernel_size))
    ends = [ops.shape(kernels)[axis] for axis in geometry.kernel_spatial_axes]
    widths = [
        (_at_least_zero(r - f), _at_least_zero(e - n))
        for r, f, e, n in zip(reach, first, stop, ends)
    ]
    dy = pad(split_groups(upstream, geometry), geometry.grouped_axes, widths)
    k = pad(kernels, geometry.kernel_spatial_axes, widths)
    start = [f + front for f, (front, _) in zip(first, widths)]
    count = [e - f for f, e in zip(first, stop)]
    phases = _gather_phases(geometry, k, dy, start, count)
    corner = [p - f * s for p, f, s in zip(padding, first, strides)]
    dx = cut(merge_phases(phases, geometry), geometry.grouped_axes, corner, sizes)
    return ops.cast(merge_groups(dx, geometry), upstream.dtype)


def _gather_phases(
    geometry: Geometry, k: Tensor, dy: Tensor, start: list, count: list
) -> list[Tensor]:
    """For each phase, the sum over its taps of kernels * upstream, `steps` back."""
    totals: dict = dict.fromkeys(itertools.product(*map(range, geometry.strides)))
    for tap in geometry.taps():
        back = [s - m for s, m in zip(start, geometry.steps(tap))]
        window = cut(dy, geometry.grouped_axes, back, count)
        weight = cut(k[geometry.tap_index(tap)], geometry.spatial_axes, back, count)
        phase = geometry.phase(tap)
        totals[phase] = _add(totals[phase], _product(window, weight, geometry))
    # The first tap has phase zero; its shape is used for phases without taps.
    zero = ops.zeros_like(next(iter(totals.values())))
    return [zero if total is None else total for total in totals.values()]


def _product(window: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    weight = ops.expand_dims(wide(weight), geometry.grouped_channel_axis)
    return wide(window) * weight


def _add(total: Tensor | None, term: Tensor) -> Tensor:
    return term if total is None else total + term


def _at_least_zero(size: Any) -> Any:
    """The maximum of zero and an integer, or a scalar tensor for an unknown size."""
    return ops.maximum(size, 0) if ops.is_tensor(size) else max(size, 0)
