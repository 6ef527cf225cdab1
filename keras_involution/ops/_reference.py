"""The definition of involution and of its gradients, in NumPy; for tests only.

    y[b, p, c] = sum over t of kernels[b, p, g, t] * x[b, p * s + (t - center) * d, c]

with g = c // (C / G), and x is zero outside its borders. Everything is computed in
float64 by gathering indices. No code is shared with the fast implementations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_involution.ops._geometry import Geometry


def involution(
    inputs: np.ndarray, kernels: np.ndarray, geometry: Geometry
) -> np.ndarray:
    """The outputs, float64, in the data format of the geometry."""
    x, k = _inputs_last(inputs, geometry), _kernels_last(kernels, geometry)
    y = np.zeros((*k.shape[: 1 + geometry.rank], geometry.channels))
    for tap in geometry.taps():
        y += _tap_kernel(k, tap, geometry) * _gather(x, tap, geometry)
    return _inputs_back(y, geometry)


def gradients(
    inputs: np.ndarray, kernels: np.ndarray, upstream: np.ndarray, geometry: Geometry
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of sum(outputs * upstream) for the inputs and the kernels."""
    x, k = _inputs_last(inputs, geometry), _kernels_last(kernels, geometry)
    dy = _inputs_last(upstream, geometry)
    dx, dk = np.zeros_like(x), np.zeros_like(k)
    by_group = (*dy.shape[:-1], geometry.groups, geometry.group_channels)
    for tap in geometry.taps():
        places, inside = _places(x.shape, dy.shape, tap, geometry)
        term = _tap_kernel(k, tap, geometry) * dy * inside
        np.add.at(dx, _index(places), term)
        product = (_gather(x, tap, geometry) * dy).reshape(by_group).sum(-1)
        dk[_tap_index(tap)] = product
    return _inputs_back(dx, geometry), _kernels_back(dk, geometry)


def fused(
    inputs: np.ndarray,
    features: np.ndarray,
    matrix: np.ndarray,
    bias: np.ndarray,
    geometry: Geometry,
) -> np.ndarray:
    """The outputs with the kernels `features @ matrix + bias`, float64."""
    return involution(inputs, _kernels(features, matrix, bias, geometry), geometry)


def fused_gradients(
    inputs: np.ndarray,
    features: np.ndarray,
    matrix: np.ndarray,
    bias: np.ndarray,
    upstream: np.ndarray,
    geometry: Geometry,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of sum(outputs * upstream) for all four tensors."""
    kernels = _kernels(features, matrix, bias, geometry)
    dx, dk = gradients(inputs, kernels, upstream, geometry)
    rows = _kernels_last(dk, geometry).reshape(-1, bias.size)
    f = _inputs_last(features, geometry)
    df = (rows @ np.asarray(matrix, "float64").T).reshape(f.shape)
    d_matrix = f.reshape(len(rows), -1).T @ rows
    return dx, _inputs_back(df, geometry), d_matrix, rows.sum(0)


def _kernels(
    features: np.ndarray, matrix: np.ndarray, bias: np.ndarray, geometry: Geometry
) -> np.ndarray:
    f = _inputs_last(features, geometry)
    kernels = f @ np.asarray(matrix, "float64") + np.asarray(bias, "float64")
    window = (geometry.groups, *geometry.kernel_size)
    return _kernels_back(kernels.reshape(*f.shape[:-1], *window), geometry)


def _places(
    input_shape: tuple[int, ...],
    output_shape: tuple[Any, ...],
    tap: tuple[int, ...],
    geometry: Geometry,
) -> tuple[list[np.ndarray], np.ndarray]:
    """For one tap, the input index of every output index, and whether it exists."""
    places, inside = [], np.ones((), bool)
    for axis in range(geometry.rank):
        center = geometry.kernel_size[axis] // 2
        index = np.arange(output_shape[1 + axis]) * geometry.strides[axis]
        index = index + (tap[axis] - center) * geometry.dilation_rate[axis]
        size = input_shape[1 + axis]
        inside = inside[..., None] & ((index >= 0) & (index < size))
        places.append(np.clip(index, 0, size - 1))
    return places, inside[None, ..., None]


def _gather(x: np.ndarray, tap: tuple[int, ...], geometry: Geometry) -> np.ndarray:
    output_shape = geometry.output_sizes(x.shape[1:-1])
    places, inside = _places(x.shape, (0, *output_shape), tap, geometry)
    return x[_index(places)] * inside


def _tap_kernel(k: np.ndarray, tap: tuple[int, ...], geometry: Geometry) -> np.ndarray:
    """One tap's weight for every channel; the channels of a group share it."""
    return np.repeat(k[_tap_index(tap)], geometry.group_channels, axis=-1)


def _index(places: list[np.ndarray]) -> Any:
    """All images, at the given places of each spatial axis."""
    return (slice(None), *np.ix_(*places))


def _tap_index(tap: tuple[int, ...]) -> Any:
    """One tap of the kernels of all positions and groups."""
    return (..., slice(None), *tap)


def _inputs_last(x: np.ndarray, geometry: Geometry) -> np.ndarray:
    x = np.asarray(x, "float64")
    return np.moveaxis(x, 1, -1) if geometry.channels_first else x


def _inputs_back(x: np.ndarray, geometry: Geometry) -> np.ndarray:
    return np.moveaxis(x, -1, 1) if geometry.channels_first else x


def _kernels_last(k: np.ndarray, geometry: Geometry) -> np.ndarray:
    k = np.asarray(k, "float64")
    if not geometry.channels_first:
        return k
    first = 2 + geometry.rank  # (B, G, K..., sizes...) to (B, sizes..., G, K...)
    return np.moveaxis(k, range(first, k.ndim), range(1, 1 + geometry.rank))


def _kernels_back(k: np.ndarray, geometry: Geometry) -> np.ndarray:
    if not geometry.channels_first:
        return k
    first = 2 + geometry.rank
    return np.moveaxis(k, range(1, 1 + geometry.rank), range(first, k.ndim))
