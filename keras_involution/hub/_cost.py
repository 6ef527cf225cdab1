"""What a RedNet costs to run, counted from its plan."""

from __future__ import annotations

from collections.abc import Sequence

from keras_involution.models import RedNetBackbone


def multiply_adds(
    backbone: RedNetBackbone, num_classes: int = 0, size: Sequence[int] = (224, 224)
) -> int:
    """Multiply-adds for one picture: convolutions, involutions and the dense layer.

    Args:
        backbone: `RedNetBackbone`.
        num_classes: Integer, outputs of the dense layer; 0 without a head.
        size: Tuple of 2 integers, height and width of the picture.

    Returns:
        Integer.
    """
    first = backbone.image_shape[0 if backbone.data_format == "channels_first" else -1]
    filters = backbone.stackwise_num_filters[0]
    sides = _halved(size, 2)
    total = 9 * (first or 0) * (filters // 2) * _area(sides)
    total += _spatial(backbone, filters // 2, backbone.stem_kernel_size) * _area(sides)
    total += 9 * (filters // 2) * filters * _area(sides)
    sides, channels = _halved(sides, 2), filters
    for filters, blocks, strides in zip(
        backbone.stackwise_num_filters,
        backbone.stackwise_num_blocks,
        backbone.stackwise_strides,
    ):
        for block in range(blocks):
            total += channels * filters * _area(sides)
            if block == 0:
                sides = _halved(sides, strides)
                total += channels * 4 * filters * _area(sides)
            inner = _spatial(backbone, filters, backbone.kernel_size)
            total += (inner + 4 * filters * filters) * _area(sides)
            channels = 4 * filters
    return total + channels * num_classes


def _spatial(backbone: RedNetBackbone, channels: int, kernel_size: int) -> int:
    """The spatial operator at one position."""
    if backbone.spatial_operator == "convolution":
        return 9 * channels * channels
    taps = kernel_size**2
    reduced = channels // backbone.reduction_ratio
    kernels = reduced * taps * (channels // backbone.group_channels)
    return channels * reduced + kernels + taps * channels


def _halved(sides: Sequence[int], strides: int) -> tuple[int, ...]:
    return tuple(-(-side // strides) for side in sides)


def _area(sides: Sequence[int]) -> int:
    return sides[0] * sides[1]
