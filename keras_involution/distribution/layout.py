"""On which devices the parts of a weight lie, when a model is spread over several."""

from __future__ import annotations

from typing import Any

import keras

# Elements of the smallest weight that is sharded.
_SMALLEST = 1024

# By layer names: what a block's first convolution makes stays sharded by channels
# through normalization and involution, whose groups are sharded with their channels,
# until the last convolution sums over them. The optimizer's variables follow.
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
    """Layouts by the paths of variables, where the shape allows it.

    Args:
        mesh: `keras.distribution.DeviceMesh` with the axes "batch" and "model".
        layouts: Dictionary of a regular expression for whole paths -> tuple of axes of
            the mesh, or `None`, for the dimensions of the variable.
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
    """Every weight in equal parts over all devices, along its longest dimension.

    So do the optimizer's variables, which follow their weights: each device holds one
    shard of all, and gets the rest of a layer when it computes it (Rajbhandari et al.
    2020, arXiv:1910.02054, stage 3).

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
