"""Pooling of a backbone's stages into one vector, and its default preprocessing."""

from __future__ import annotations

import keras
from keras import layers

from keras_involution._arguments import received
from keras_involution.models import RedNetImageConverter
from keras_involution.whale_id.pooling import GeneralizedMeanPooling2D


def pooled_stages(
    backbone: keras.Model, levels: int, p: float, cells: tuple[int, int]
) -> keras.KerasTensor:
    """Concatenates generalized means of the last stages of a backbone.

    If the output of the backbone is a vector, it is used unchanged.
    """
    if len(backbone.output_shape) == 2:
        return backbone.output
    pyramid = getattr(backbone, "pyramid_outputs", None) or {"P1": backbone.output}
    if levels > len(pyramid):
        raise ValueError(
            f"`levels` must be at most {len(pyramid)}, the number of stages. "
            + received(levels=levels)
        )
    last = list(pyramid.items())[-levels:]
    data_format = getattr(backbone, "data_format", None)
    for level, x in last:
        _check_cells(cells, x, data_format, level)
    pooled = [
        GeneralizedMeanPooling2D(
            p=p, cells=cells, data_format=data_format, name=f"pool_{level}"
        )(x)
        for level, x in last
    ]
    return pooled[0] if levels == 1 else layers.Concatenate(name="pooled")(pooled)


def _check_cells(
    cells: tuple[int, int], x: keras.KerasTensor, data_format: str | None, level: str
) -> None:
    """Rejects more cells than positions, which would only repeat positions."""
    sides = x.shape[2:] if data_format == "channels_first" else x.shape[1:3]
    if any(side is not None and n > side for n, side in zip(cells, sides)):
        raise ValueError(
            f"`cells` must be at most {tuple(sides)}, the positions of {level} of the "
            f"backbone. {received(cells=cells)}"
        )


def stretching_converter(backbone: keras.Model) -> RedNetImageConverter:
    """A converter that resizes images to the size that a backbone expects."""
    data_format = getattr(backbone, "data_format", None)
    sides = backbone.input_shape[1:]
    sides = sides[1:] if data_format == "channels_first" else sides[:2]
    size = (224, 224) if None in sides else sides
    return RedNetImageConverter(
        size, crop_to_aspect_ratio=False, antialias=True, data_format=data_format
    )
