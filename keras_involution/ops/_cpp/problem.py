"""What `involution.cpp` is compiled for, and what it is told when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_involution.ops._geometry import Geometry
from keras_involution.ops._layout import channels_layout, taps_layout, three

Steps = tuple[int, ...]


def macros(geometry: Geometry, double: bool) -> dict[str, str]:
    """What the compiled library depends on: everything but the sizes of images."""
    listed = {
        "KERNEL_SIZE": geometry.kernel_size,
        "STRIDES": geometry.strides,
        "DILATION_RATE": geometry.dilation_rate,
    }
    return {
        "REAL": "double" if double else "float",
        "GROUP_CHANNELS": str(geometry.group_channels),
        **{name: ",".join(map(str, three(v, 1))) for name, v in listed.items()},
    }


def numbers(
    geometry: Geometry, threads: int, shape: Sequence[int], steps: Sequence[Steps]
) -> list[int]:
    """The struct `Problem`, in its order.

    Args:
        geometry: The operator's.
        threads: How many to use; zero for what OpenMP's settings say.
        shape: That of the inputs.
        steps: Of inputs, kernels, outputs (or upstream), and of both gradients.
    """
    sizes = tuple(shape[axis] for axis in geometry.spatial_axes)
    listed: list[Any] = [shape[0], geometry.groups]
    listed += three(sizes, 1) + three(geometry.output_sizes(sizes), 1) + [threads]
    x, k, y, dx, dk = steps
    for layout in (
        channels_layout(x, geometry),
        taps_layout(k, geometry),
        channels_layout(y, geometry),
        channels_layout(dx, geometry),
        taps_layout(dk, geometry),
    ):
        listed += layout
    return listed
