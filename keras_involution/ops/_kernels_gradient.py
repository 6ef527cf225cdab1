"""The gradient for the kernels, for XLA: sums over the channels of a group.

On a CPU, XLA does not vectorize a sum over the innermost axis. There the channels are
moved outwards, and the loop runs over the positions for one image and one tap at a
time: an image stays in the cache, and the program is one small loop body. On other
devices each tap's product is reduced in place, which XLA fuses.

Both return the axes of the window merged into one. The loops also return the axes of
the row and the groups merged. The caller restores the shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_involution._typing import Tensor
from keras_involution.ops._arrays import (
    pad_borders,
    split_groups,
    split_phases,
    wide,
    windows,
)
from keras_involution.ops._geometry import Geometry

# Longest sum over channels that is unrolled; longer ones loop over blocks.
_UNROLLED_CHANNELS = 16


def by_reduction(geometry: Geometry, x: Tensor, dy: Tensor) -> Tensor:
    padded = pad_borders(split_groups(x, geometry), geometry)
    upstream = wide(split_groups(dy, geometry))
    sizes = [ops.shape(dy)[axis] for axis in geometry.spatial_axes]
    terms = []
    for window in windows(padded, sizes, geometry):
        term = ops.sum(wide(window) * upstream, geometry.grouped_channel_axis)
        terms.append(ops.cast(term, x.dtype))
    return ops.stack(terms, 2 if geometry.channels_first else -1)


def by_loops(geometry: Geometry, x: Tensor, dy: Tensor, loop: Callable) -> Tensor:
    """Loops over images and taps; each step sums over channels along the positions.

    Args:
        geometry: `Geometry`.
        x: Tensor, the inputs, at least one image.
        dy: Tensor, the upstream gradient.
        loop: Function `(function, tensors)` that calls `function` on the rows of a
            tuple of tensors and stacks the results, which have the dtype of `x`.
    """
    taps = list(geometry.taps())
    phases = ops.convert_to_tensor([geometry.phase(tap) for tap in taps], "int32")
    steps = ops.convert_to_tensor([geometry.steps(tap) for tap in taps], "int32")

    def one_image(image: tuple[Tensor, Tensor]) -> Tensor:
        grid, dy = image

        def one_tap(where: tuple[Tensor, Tensor]) -> Tensor:
            total = _sum_over_channels(geometry, grid, dy, *map(ops.unstack, where))
            return ops.cast(total, x.dtype)

        dk = loop(one_tap, (phases, steps))
        return ops.moveaxis(dk, 0, 1 if geometry.channels_first else -1)

    return loop(one_image, _channels_outwards(geometry, x, dy))


def _channels_outwards(
    geometry: Geometry, x: Tensor, dy: Tensor
) -> tuple[Tensor, Tensor]:
    """The padded input split into phases, and the upstream, for sums along positions.

    Channels last: (B, phases, H, c, W * G) and (B, Ho, c, Wo * G), where c runs over
    the channels of a group. Channels first: (B, phases, G, c, H, W) and
    (B, G, c, Ho, Wo), the layout in which they are given.
    """
    grid = wide(split_phases(split_groups(x, geometry), geometry))
    dy = wide(split_groups(dy, geometry))
    if geometry.channels_first:
        return grid, dy
    return _channels_before_row(grid), _channels_before_row(dy)


def _channels_before_row(array: Tensor) -> Tensor:
    """(..., W, G, c) to (..., c, W * G)."""
    moved = ops.moveaxis(array, -1, -3)
    *shape, row, groups = ops.shape(moved)
    return ops.reshape(moved, [*shape, row * groups])


def _sum_over_channels(
    geometry: Geometry, grid: Tensor, dy: Tensor, phase: list, steps: list
) -> Tensor:
    """One tap's gradient for one image, (Ho, Wo * G) or (G, Ho, Wo)."""
    block = math.gcd(geometry.group_channels, _UNROLLED_CHANNELS)
    first = geometry.channels_first
    axis = 1 if first else geometry.rank - 1
    shape = list(ops.shape(dy))
    shape[axis] = 1
    start: list = [0] * len(shape)
    spatial = range(2, len(shape)) if first else [*range(axis), len(shape) - 1]
    for position, step in zip(spatial, steps):
        start[position] = step
    if not first:
        start[-1] = start[-1] * geometry.groups

    def add_block(number: Any, total: Tensor) -> Tensor:
        for channel in range(block):
            start[axis] = number * block + channel
            corner = [0] * axis + [start[axis]] + [0] * (len(shape) - axis - 1)
            window = ops.slice(grid, [*phase, *start], [1] * geometry.rank + shape)
            term = ops.reshape(window, shape) * ops.slice(dy, corner, shape)
            total = total + term
        return total

    total = ops.zeros(shape, dy.dtype)
    blocks = geometry.group_channels // block
    if blocks == 1:
        total = add_block(0, total)
    else:
        total = ops.fori_loop(0, blocks, add_block, total)
    return ops.squeeze(total, axis)
