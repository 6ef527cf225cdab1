"""Positions of the windows of an involution: integers only, no arrays.

The window of output position p has its center at input position p * strides, so
every spatial size shrinks to ceil(size / strides). Positions outside the input
count as zeros, (kernel_size - 1) / 2 * dilation_rate of them on either side.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._typing import Shape


@dataclass(frozen=True)
class Geometry:
    """All sizes of one involution that do not depend on the batch or the image.

    Frozen and hashable, so that compiled programs can be cached by it.
    """

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    groups: int
    channels: int
    data_format: str

    @property
    def rank(self) -> int:
        return len(self.kernel_size)

    @property
    def group_channels(self) -> int:
        return self.channels // self.groups

    @property
    def channels_first(self) -> bool:
        return self.data_format == "channels_first"

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        """Axes of height, width, ... in the inputs, the outputs and the kernels."""
        first = 2 if self.channels_first else 1
        return tuple(range(first, first + self.rank))

    @property
    def kernel_spatial_axes(self) -> tuple[int, ...]:
        """Axes of the output positions in the kernels."""
        first = 2 + self.rank if self.channels_first else 1
        return tuple(range(first, first + self.rank))

    @property
    def grouped_axes(self) -> tuple[int, ...]:
        """Spatial axes of the inputs once their channels are split into G, C/G."""
        first = 3 if self.channels_first else 1
        return tuple(range(first, first + self.rank))

    @property
    def grouped_channel_axis(self) -> int:
        """Axis of the C/G channels of a group once the channels are split."""
        return 2 if self.channels_first else self.rank + 2

    @property
    def padding(self) -> tuple[int, ...]:
        """Zeros on either side of every spatial dimension."""
        return tuple(
            (k - 1) // 2 * d for k, d in zip(self.kernel_size, self.dilation_rate)
        )

    def taps(self) -> Iterator[tuple[int, ...]]:
        """Indices into the window, row-major."""
        return itertools.product(*(range(k) for k in self.kernel_size))

    def offset(self, tap: tuple[int, ...]) -> tuple[int, ...]:
        """Position of the tap of the first window in the padded input."""
        return tuple(t * d for t, d in zip(tap, self.dilation_rate))

    def steps(self, tap: tuple[int, ...]) -> tuple[int, ...]:
        """Number of whole strides in the tap's offset."""
        return tuple(o // s for o, s in zip(self.offset(tap), self.strides))

    def phase(self, tap: tuple[int, ...]) -> tuple[int, ...]:
        """Remainder of the tap's offset: the sub-grid of the input that it reads."""
        return tuple(o % s for o, s in zip(self.offset(tap), self.strides))

    def tap_index(self, tap: tuple[int, ...]) -> tuple:
        """Index that picks one tap's weights from the kernels."""
        if self.channels_first:
            return (slice(None), slice(None), *tap)
        return (Ellipsis, *tap)

    def output_sizes(self, sizes: Shape) -> Shape:
        # ceil(size / s), written as convolutions and slices write it: symbolic sizes
        # are equal only if their expressions are the same.
        return tuple(
            None if size is None else (size - 1) // s + 1
            for size, s in zip(sizes, self.strides)
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        shape = list(input_shape)
        sizes = self.output_sizes(tuple(shape[a] for a in self.spatial_axes))
        for axis, size in zip(self.spatial_axes, sizes):
            shape[axis] = size
        return tuple(shape)

    def kernels_shape(self, input_shape: Shape) -> Shape:
        """The shape that the kernels must have for inputs of `input_shape`."""
        shape = self.output_shape(input_shape)
        sizes = tuple(shape[a] for a in self.spatial_axes)
        if self.channels_first:
            return (shape[0], self.groups, *self.kernel_size, *sizes)
        return (shape[0], *sizes, self.groups, *self.kernel_size)


def geometry_of(
    input_shape: Shape,
    kernels_shape: Shape,
    strides: int | tuple[int, ...],
    dilation_rate: int | tuple[int, ...],
    data_format: str | None,
) -> Geometry:
    """The geometry that fits the two shapes.

    Raises:
        ValueError: If the shapes do not fit.
    """

    def shapes() -> str:  # only for errors: symbolic sizes cannot always be printed
        return received(
            inputs_shape=tuple(input_shape), kernels_shape=tuple(kernels_shape)
        )

    rank = len(input_shape) - 2
    if rank not in (1, 2, 3):
        raise ValueError(
            "`inputs` must have a batch dimension, one to three spatial dimensions "
            f"and channels. {shapes()}"
        )
    if len(kernels_shape) != 2 * rank + 2:
        raise ValueError(
            f"`kernels` must have {2 * rank + 2} dimensions for inputs with {rank} "
            f"spatial dimension(s): {_kernels_layout(rank)}. {shapes()}"
        )
    data_format = _arguments.standard_data_format(data_format)
    first = 1 if data_format == "channels_first" else 1 + rank
    groups, *window = kernels_shape[first : first + 1 + rank]
    channels = input_shape[1 if data_format == "channels_first" else -1]
    if channels is None or groups is None or None in window:
        raise ValueError(
            f"The sizes of channels, groups and window must be known. {shapes()}"
        )
    _arguments.divisible(channels, groups, "channels", "groups")
    geometry = Geometry(
        kernel_size=_arguments.odd_window(tuple(window), rank),
        strides=_arguments.spatial_tuple(strides, rank, "strides"),
        dilation_rate=_arguments.spatial_tuple(dilation_rate, rank, "dilation_rate"),
        groups=groups,
        channels=channels,
        data_format=data_format,
    )
    _check_kernels(geometry, input_shape, kernels_shape, shapes)
    return geometry


geometry_of_integers = functools.lru_cache(maxsize=1024)(geometry_of)


def cached_geometry(*arguments: Any) -> Geometry:
    """As `geometry_of`, whose checks take longer than a small involution."""
    input_shape, kernels_shape, strides, dilation_rate, data_format = arguments
    data_format = _arguments.standard_data_format(data_format)
    sizes = (tuple(input_shape), tuple(kernels_shape), strides, dilation_rate)
    # Symbolic sizes have no hash, and `True` would be found as 1.
    if all(type(n) is int for size in sizes for n in _flat(size)):
        return geometry_of_integers(*sizes, data_format)
    return geometry_of(*sizes, data_format)


def _flat(value: int | Shape) -> Shape:
    return value if isinstance(value, tuple) else (value,)


def _check_kernels(
    geometry: Geometry,
    input_shape: Shape,
    kernels_shape: Shape,
    shapes: Callable[[], str],
) -> None:
    expected = geometry.kernels_shape(input_shape)
    for want, have in zip(expected, kernels_shape):
        if want is not None and have is not None and want != have:
            raise ValueError(
                f"`kernels` must have the shape {expected} for these inputs, strides "
                f"{geometry.strides} and data format {geometry.data_format!r}. "
                + shapes()
            )


def _kernels_layout(rank: int) -> str:
    sizes = ("Do, Ho, Wo", "Kd, Kh, Kw")
    output, window = (", ".join(s.split(", ")[3 - rank :]) for s in sizes)
    return f"(B, {output}, G, {window}), or (B, G, {window}, {output}) channels first"
