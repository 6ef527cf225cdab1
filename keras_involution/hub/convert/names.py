"""Which published array belongs to which weight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_involution.models import RedNetBackbone

_NORM = ("weight", "bias", "running_mean", "running_var")
_OUTPUTS_FIRST = {4: (2, 3, 1, 0), 2: (1, 0)}


def published_weights(
    backbone: RedNetBackbone, head: keras.layers.Layer | None
) -> dict[str, Any]:
    """Published name, without prefix -> variable, in the order of the network."""
    layers = dict(_stem(backbone))
    for stage, blocks in enumerate(backbone.stackwise_num_blocks):
        for block in range(blocks):
            layers |= dict(_block(backbone, stage, block))
    if head is not None:
        layers["head.fc"] = head
    return {
        f"{prefix}.{name}": variable
        for prefix, layer in layers.items()
        for name, variable in zip(_suffixes(layer), layer.weights, strict=True)
    }


def published_shape(variable: Any) -> tuple[int, ...]:
    """The shape that the array of a variable has in a published file."""
    shape = tuple(variable.shape)
    order = _inverse(len(shape))
    return tuple(shape[axis] for axis in order)


def assign_published(variable: Any, array: np.ndarray) -> None:
    """Puts an array, laid out as in PyTorch, into a variable."""
    order = _OUTPUTS_FIRST.get(array.ndim, range(array.ndim))
    variable.assign(np.asarray(array, "float32").transpose(order))


def _inverse(dimensions: int) -> tuple[int, ...]:
    order = _OUTPUTS_FIRST.get(dimensions, tuple(range(dimensions)))
    return tuple(int(axis) for axis in np.argsort(order))


def _suffixes(layer: keras.layers.Layer) -> tuple[str, ...]:
    if isinstance(layer, keras.layers.BatchNormalization):
        return _NORM
    return ("weight", "bias")[: len(layer.weights)]


def _stem(backbone: RedNetBackbone) -> Iterator[tuple[str, keras.layers.Layer]]:
    layer = backbone.get_layer
    yield "stem.0.conv", layer("stem_1_conv")
    yield "stem.0.bn", layer("stem_1_bn")
    yield from _involution("stem.1", layer("stem_2_involution"))
    yield "stem.2", layer("stem_2_bn")
    yield "stem.4.conv", layer("stem_3_conv")
    yield "stem.4.bn", layer("stem_3_bn")


def _involution(at: str, layer: Any) -> Iterator[tuple[str, keras.layers.Layer]]:
    yield f"{at}.conv1.conv", layer.reduce
    yield f"{at}.conv1.bn", layer.reduce_norm
    yield f"{at}.conv2.conv", layer.span


def _block(
    backbone: RedNetBackbone, stage: int, block: int
) -> Iterator[tuple[str, keras.layers.Layer]]:
    name, at = f"stack{stage}_block{block}", f"layer{stage + 1}.{block}"
    layer = backbone.get_layer
    yield f"{at}.conv1", layer(f"{name}_1_conv")
    yield f"{at}.bn1", layer(f"{name}_1_bn")
    yield from _involution(f"{at}.conv2", layer(f"{name}_2_involution"))
    yield f"{at}.bn2", layer(f"{name}_2_bn")
    yield f"{at}.conv3", layer(f"{name}_3_conv")
    yield f"{at}.bn3", layer(f"{name}_3_bn")
    if block == 0:
        yield f"{at}.downsample.0", layer(f"{name}_0_conv")
        yield f"{at}.downsample.1", layer(f"{name}_0_bn")
