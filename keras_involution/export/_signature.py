"""The input signature of an exported program: a tensor with fixed or dynamic sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._keras_private import flat_layers


def signature_of(
    model: keras.Model,
    image_size: int | Sequence[int] | None,
    batch_size: int | None,
) -> keras.InputSpec:
    """The input of `model` with these sizes; `None` makes a size dynamic."""
    [tensor] = _inputs(model)
    if batch_size is not None:
        batch_size = _arguments.positive_integer(batch_size, "batch_size")
    shape = [batch_size, *tensor.shape[1:]]
    if image_size is not None:
        axes = image_axes(model)
        sizes = _arguments.spatial_tuple(image_size, len(axes), "image_size")
        for axis, size in zip(axes, sizes):
            if shape[axis] not in (None, size):
                raise ValueError(
                    "`image_size` must fit the input of the model, which has the "
                    f"shape {tuple(tensor.shape)}. {received(image_size=image_size)}"
                )
            shape[axis] = size
    # ONNX and SavedModel store the name and do not allow a slash in it.
    name = tensor.name.replace("/", "_")
    return keras.InputSpec(shape=tuple(shape), dtype=tensor.dtype, name=name)


def image_axes(model: keras.Model) -> range:
    """The spatial axes: all axes except batch and channels."""
    rank = len(model.inputs[0].shape)
    first = _data_format(model) == "channels_first"
    return range(2, rank) if first else range(1, rank - 1)


def open_axes(signature: keras.InputSpec) -> list[int]:
    return [axis for axis, size in enumerate(signature.shape) if size is None]


def _inputs(model: Any) -> list[keras.KerasTensor]:
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. {received(model=model)}")
    inputs = getattr(model, "inputs", None) if model.built else None
    if not inputs:
        raise ValueError(
            "The model must be a functional model or a built sequential model, so that "
            f"the shape of its input is known. {received(model=model.name)}"
        )
    if len(inputs) != 1:
        raise ValueError(
            "Only models with one input can be exported. "
            + received(inputs=[tensor.name for tensor in inputs])
        )
    return inputs


def _data_format(model: keras.Model) -> str:
    """The data format of the model, or of the first layer that has one."""
    for layer in (model, *flat_layers(model)):
        if getattr(layer, "data_format", None) is not None:
            return layer.data_format
    return keras.config.image_data_format()
