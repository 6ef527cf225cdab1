"""Counts the operations of a layer and of its sublayers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from keras_involution._arguments import received
from keras_involution._keras_private import flat_layers, own_trainable_variables
from keras_involution.layers._base import BaseInvolution

Sides = tuple[int, ...]
# Name, kind, output shape, parameters, multiply-adds and other operations.
Row = tuple[str, str, Sides, int, int, int]

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_POOLINGS = tuple(
    getattr(layers, f"{kind}Pooling{rank}D")
    for kind in ("Max", "Average", "GlobalMax", "GlobalAverage")
    for rank in (1, 2, 3)
)


def rows(
    model: keras.Model, inputs: Any, prefix: str = "", again: bool = False
) -> Iterator[Row]:
    """Yields a row for every layer between `inputs` and the outputs of a model.

    Args:
        model: Functional model.
        inputs: Symbolic tensors with the shapes to count for.
        prefix: Prefix of the layer names.
        again: Whether the weights have already been counted.
    """
    found: list[tuple[Any, Any, Any]] = []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        if isinstance(layer, layers.Layer):
            found.append((layer, args[0], outputs))
        return outputs

    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs[0], model.outputs[0])
    inputs = keras.tree.pack_sequence_as(model.input, keras.tree.flatten(inputs))
    # Clone the model: otherwise, the calls would add nodes to its own graph.
    keras.models.clone_model(model, input_tensors=inputs, call_function=call)
    used: list[Any] = []
    for layer, x, y in found:
        repeated = again or any(layer is other for other in used)
        used.append(layer)
        yield from _rows_of(layer, x, y, prefix, repeated)


def _rows_of(layer: Any, x: Any, y: Any, prefix: str, again: bool) -> Iterator[Row]:
    name = f"{prefix}{layer.name}"
    inner = None if isinstance(layer, BaseInvolution) else _inside(layer, x)
    if inner is not None:
        yield from rows(inner, _fresh(x), f"{name}/", again)
        # Weights of the outer layer itself; their operations are unknown.
        own = 0 if again else _size(own_trainable_variables(layer))
        if own:
            yield name, type(layer).__name__, _shape(y), own, 0, 0
        return
    macs, others = _operations(layer, _shape(x), _shape(y))
    parameters = 0 if again else _parameters(layer)
    yield name, type(layer).__name__, _shape(y), parameters, macs, others


def _inside(layer: Any, x: Any) -> keras.Model | None:
    """Returns a model, or a composite layer as a model with inputs like `x`."""
    if isinstance(layer, keras.Model):
        return layer
    if not flat_layers(layer, recursive=False):
        return None
    fresh = _fresh(x)
    try:
        return keras.Model(fresh, layer.call(fresh))
    except Exception:  # a third-party layer may not support symbolic inputs
        return None


def _fresh(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: keras.Input(value.shape[1:], name=key) for key, value in x.items()}
    return keras.tree.map_structure(lambda tensor: keras.Input(tensor.shape[1:]), x)


def _operations(layer: Any, inputs: Sides, outputs: Sides) -> tuple[int, int]:
    """Returns the numbers of multiply-adds and of other operations."""
    if isinstance(layer, BaseInvolution):
        return _of_involution(layer, inputs, outputs)
    if isinstance(layer, _CONVOLUTIONS):
        return _of_convolution(layer, outputs)
    if isinstance(layer, layers.Dense):
        return math.prod(outputs) * inputs[-1], layer.units * bool(layer.use_bias)
    if isinstance(layer, layers.BatchNormalization):
        return 0, 2 * math.prod(outputs)
    if isinstance(layer, layers.ReLU):
        return 0, math.prod(outputs)
    if isinstance(layer, _POOLINGS):
        return 0, math.prod(inputs)
    return 0, 0


def _of_convolution(layer: Any, outputs: Sides) -> tuple[int, int]:
    positions = math.prod(outputs) // layer.filters
    products = math.prod(layer.kernel.shape)
    return positions * products, math.prod(outputs) * bool(layer.use_bias)


def _of_involution(layer: Any, inputs: Sides, outputs: Sides) -> tuple[int, int]:
    channels = outputs[0 if layer.data_format == "channels_first" else -1]
    positions = math.prod(outputs) // channels
    reduced, taps = layer.reduce.filters, math.prod(layer.kernel_size)
    products = channels * reduced + reduced * layer.span.filters + taps * channels
    others = positions * (3 * reduced + layer.span.filters)
    if layer.pool is not None:
        others += math.prod(inputs)
    return positions * products, others


def _parameters(layer: Any) -> int:
    """Counts the weights, also of a frozen layer, without moving statistics."""
    layer.trainable = True
    return _size(layer.trainable_weights)


def _size(weights: list[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _shape(tensor: Any) -> Sides:
    tensor = tensor[0] if isinstance(tensor, list | tuple) else tensor
    sides = tuple(tensor.shape[1:])
    if None in sides:
        raise ValueError(
            "The cost cannot be counted: a layer has an unknown output shape. "
            + received(name=tensor.name, shape=sides)
        )
    return sides
