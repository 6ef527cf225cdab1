"""Memory layout of tensors for the kernels: one step for each type of index."""

from __future__ import annotations

from typing import TypeVar

from keras_involution.ops._geometry import Geometry

Steps = tuple[int, ...]
T = TypeVar("T")


def three(values: tuple[T, ...], missing: T) -> list[T]:
    """Extends the values of one to three spatial dimensions to three."""
    return [missing] * (3 - len(values)) + list(values)


def channels_layout(steps: Steps, geometry: Geometry) -> list[int]:
    """Steps between images, groups, channels of a group, and positions."""
    channel = steps[1 if geometry.channels_first else -1]
    space = tuple(steps[axis] for axis in geometry.spatial_axes)
    return [steps[0], channel * geometry.group_channels, channel, *three(space, 0)]


def taps_layout(steps: Steps, geometry: Geometry) -> list[int]:
    """Steps between images, groups, taps of the window, and positions."""
    group = steps[window_axes(geometry)[0] - 1]
    space = tuple(steps[axis] for axis in geometry.kernel_spatial_axes)
    return [steps[0], group, tap_step(steps, geometry), *three(space, 0)]


def window_axes(geometry: Geometry) -> tuple[int, ...]:
    first = 2 if geometry.channels_first else 2 + geometry.rank
    return tuple(range(first, first + geometry.rank))


def tap_step(steps: Steps, geometry: Geometry) -> int:
    """The step of the last axis of the window with more than one tap."""
    sides = list(zip(window_axes(geometry), geometry.kernel_size))
    return next((steps[axis] for axis, side in reversed(sides) if side > 1), 1)
