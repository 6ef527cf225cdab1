"""Layouts that shard the weights of a model over devices."""

from __future__ import annotations

from typing import Any

import keras

# Number of elements of the smallest weight that is sharded.
_SMALLEST = 1024

# Layouts by layer name. The output of the first convolution of a block is sharded by
# channels. It stays sharded through normalization and involution, whose groups are
# sharded with their channels, until the last convolution sums over the channels. The
# variables of the optimizer have the layouts of their weights.
REDNET_LAYOUTS: dict[str, tuple[str | None, ...]] = {
    r".*_1_conv/kernel": (None, None, None, "model"),
    r".*_[12]_bn/.*": ("model",),
    r".*_2_conv/kernel": (None, None, None, "model"),
    r".*_2_involution/reduce/kernel": (None, None, "model", None),
    r".*_2_involution/span/kernel": (None, None, None, "model"),
    r".*_2_involution/span/bias": ("model",),
    r".*_3_conv/kernel": (None, None, "model", None),
    r".*predictions/kernel": (None, "model"),
    r".*predictions/bias": ("model",),
}


class NamedLayouts:
    """Layouts by variable path, applied if the shape allows it.

    Args:
        mesh: `keras.distribution.DeviceMesh` with the axes "batch" and "model".
        layouts: Dictionary of regular expression for whole paths -> tuple with an axis
            of the mesh or `None` for each dimension of the variable.
    """

    def __init__(self, mesh: Any, layouts: dict[str, tuple[str | None, ...]]) -> None:
        self.map = keras.distribution.LayoutMap(mesh)
        for path, axes in layouts.items():
            self.map[path] = axes
        self.sizes = dict(zip(mesh.axis_names, mesh.shape))

    def axes(self, path: str, shape: tuple[int, ...]) -> tuple[str | None, ...]:
        """One axis of the mesh, or none, for each dimension."""
        layout = self.map[path]
        if layout is None or len(layout.axes) != len(shape):
            return (None,) * len(shape)
        return tuple(
            axis if axis is not None and size % self.sizes[axis] == 0 else None
            for axis, size in zip(layout.axes, shape)
        )


class FullyShardedLayouts:
    """Shards every weight evenly over all devices, along its longest dimension.

    The variables of the optimizer are sharded like their weights. Each device holds one
    shard and gathers the weights of a layer to compute it (Rajbhandari et al. 2020,
    arXiv:1910.02054, stage 3).

    Args:
        mesh: `keras.distribution.DeviceMesh` with the axis "batch".
    """

    def __init__(self, mesh: Any) -> None:
        self.map = keras.distribution.LayoutMap(mesh)
        self.devices = mesh.shape[0]

    def axes(self, path: str, shape: tuple[int, ...]) -> tuple[str | None, ...]:
        """One axis of the mesh, or none, for each dimension."""
        elements = 1
        for size in shape:
            elements *= size
        fitting = [size for size in shape if size % self.devices == 0]
        if elements < _SMALLEST or not fitting:
            return (None,) * len(shape)
        place = max(i for i, size in enumerate(shape) if size == max(fitting))
        return tuple("batch" if i == place else None for i in range(len(shape)))
