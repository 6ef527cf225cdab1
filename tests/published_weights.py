"""Weights in the published RedNet format; every value is determined by its name.

`tests/golden/` contains the outputs of the published code for exactly these weights.
"""

from __future__ import annotations

import zlib

import numpy as np

BLOCKS = {26: (1, 2, 4, 1), 50: (3, 4, 6, 3)}
FILTERS = (64, 128, 256, 512)
NORM = ("weight", "bias", "running_mean", "running_var")

Shapes = dict[str, tuple[int, ...]]
Arrays = dict[str, np.ndarray]


def norm_shapes(prefix: str, channels: int) -> Shapes:
    return {f"{prefix}.{name}": (channels,) for name in NORM}


def involution_shapes(prefix: str, channels: int, kernel_size: int) -> Shapes:
    reduced, taps = channels // 4, kernel_size**2 * (channels // 16)
    return {
        f"{prefix}conv1.conv.weight": (reduced, channels, 1, 1),
        **norm_shapes(f"{prefix}conv1.bn", reduced),
        f"{prefix}conv2.conv.weight": (taps, reduced, 1, 1),
        f"{prefix}conv2.conv.bias": (taps,),
    }


def block_shapes(at: str, channels: int, filters: int, project: bool) -> Shapes:
    shapes: Shapes = {f"{at}.conv1.weight": (filters, channels, 1, 1)}
    shapes |= norm_shapes(f"{at}.bn1", filters)
    shapes |= involution_shapes(f"{at}.conv2.", filters, 7)
    shapes |= norm_shapes(f"{at}.bn2", filters)
    shapes |= {f"{at}.conv3.weight": (4 * filters, filters, 1, 1)}
    shapes |= norm_shapes(f"{at}.bn3", 4 * filters)
    if project:
        shapes |= {f"{at}.downsample.0.weight": (4 * filters, channels, 1, 1)}
        shapes |= norm_shapes(f"{at}.downsample.1", 4 * filters)
    return shapes


def network_shapes(depth: int, stem_kernel_size: int) -> Shapes:
    """Name -> shape of every array of a published file, without batch counters."""
    shapes: Shapes = {"stem.0.conv.weight": (32, 3, 3, 3)}
    shapes |= norm_shapes("stem.0.bn", 32)
    shapes |= involution_shapes("stem.1.", 32, stem_kernel_size)
    shapes |= norm_shapes("stem.2", 32)
    shapes |= {"stem.4.conv.weight": (64, 32, 3, 3), **norm_shapes("stem.4.bn", 64)}
    channels = 64
    for stage, (blocks, filters) in enumerate(zip(BLOCKS[depth], FILTERS), start=1):
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            shapes |= block_shapes(at, channels, filters, project=block == 0)
            channels = 4 * filters
    shapes = {f"backbone.{name}": shape for name, shape in shapes.items()}
    return shapes | {"head.fc.weight": (1000, 2048), "head.fc.bias": (1000,)}


def value(name: str, shape: tuple[int, ...], salt: str, kernel_size: int) -> np.ndarray:
    """The float32 array called `name`; `kernel_size` damps the span convolution."""
    noise = np.random.default_rng(zlib.crc32((salt + name).encode()))
    array = noise.standard_normal(shape)
    fan_in = np.prod(shape[1:])
    if name.endswith("running_var"):
        array = np.exp(0.2 * array)
    elif name.endswith("running_mean"):
        array = 0.1 * array
    elif name.endswith("conv2.conv.weight"):
        array = array * np.sqrt(1.0 / shape[1]) / kernel_size
    elif len(shape) > 1:
        array = array * np.sqrt(1.0 / fan_in)
    elif name.endswith("bias"):
        array = 0.1 * array
    else:  # The scale of a batch normalization; the residual branch is damped.
        array = (0.2 if ".bn3." in name else 1.0) * (1 + 0.1 * array)
    return array.astype("float32")


def network(depth: int, stem_kernel_size: int) -> Arrays:
    """Name -> array of a published checkpoint."""
    return {
        name: value(
            name, shape, "golden/", stem_kernel_size if ".stem.1." in name else 7
        )
        for name, shape in network_shapes(depth, stem_kernel_size).items()
    }


def involution(channels: int, kernel_size: int) -> Arrays:
    """Name -> array of one published involution module."""
    shapes = involution_shapes("", channels, kernel_size)
    return {n: value(n, s, "golden-op/", kernel_size) for n, s in shapes.items()}


def set_involution(layer, arrays: Arrays, prefix: str = "") -> None:
    """Assigns published arrays to an `Involution2D`."""
    set_pointwise(layer.reduce, arrays, f"{prefix}conv1.conv")
    set_norm(layer.reduce_norm, arrays, f"{prefix}conv1.bn")
    set_pointwise(layer.span, arrays, f"{prefix}conv2.conv")


def set_pointwise(layer, arrays: Arrays, prefix: str) -> None:
    weights = [arrays[f"{prefix}.weight"].transpose(2, 3, 1, 0)]
    if layer.use_bias:
        weights.append(arrays[f"{prefix}.bias"])
    layer.set_weights(weights)


def set_norm(layer, arrays: Arrays, prefix: str) -> None:
    layer.set_weights([arrays[f"{prefix}.{name}"] for name in NORM])
