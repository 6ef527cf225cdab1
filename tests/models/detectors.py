"""The published detector and segmenter around a RedNet-50, to count what they cost."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from keras_involution import RedNetBackbone
from keras_involution.models import InvolutionFeaturePyramid

LAST = "channels_last"


def retinanet(spatial_operator: str) -> keras.Model:
    """RetinaNet for COCO: 80 classes, 9 anchors per position, shared heads."""
    backbone = _backbone()
    maps = _pyramid(backbone, 3, 7, spatial_operator)
    outputs = []
    for filters in (9 * 80, 9 * 4):
        head = [_convolution(256, 3, activation="relu") for _ in range(4)]
        head.append(_convolution(filters, 3))
        outputs += [_through(head, x) for x in maps.values()]
    return keras.Model(backbone.input, outputs)


def semantic_fpn(spatial_operator: str) -> keras.Model:
    """Semantic FPN for Cityscapes: 19 classes, every level resized to a quarter."""
    backbone = _backbone()
    maps = _pyramid(backbone, 2, 5, spatial_operator)
    scaled = [_to_a_quarter(x, doublings) for doublings, x in enumerate(maps.values())]
    return keras.Model(backbone.input, _convolution(19, 1)(layers.Add()(scaled)))


def _backbone() -> RedNetBackbone:
    return RedNetBackbone.from_depth(
        50, stem_kernel_size=7, image_shape=(None, None, 3), data_format=LAST
    )


def _pyramid(
    backbone: RedNetBackbone, first: int, last: int, spatial_operator: str
) -> dict[str, keras.KerasTensor]:
    pyramid = InvolutionFeaturePyramid(
        first, last, spatial_operator=spatial_operator, data_format=LAST
    )
    return pyramid(backbone.pyramid_outputs)


def _to_a_quarter(x: keras.KerasTensor, doublings: int) -> keras.KerasTensor:
    for _ in range(max(1, doublings)):
        x = _convolution(128, 3, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        if doublings:
            x = layers.UpSampling2D(2, data_format=LAST, interpolation="bilinear")(x)
    return x


def _convolution(filters: int, window: int, **kwargs: Any) -> layers.Conv2D:
    return layers.Conv2D(filters, window, padding="same", data_format=LAST, **kwargs)


def _through(stack: list[layers.Layer], x: keras.KerasTensor) -> keras.KerasTensor:
    for layer in stack:
        x = layer(x)
    return x
