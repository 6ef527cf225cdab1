"""Folds batch normalization into convolutions, for faster inference.

Batch normalization with fixed statistics scales and shifts each channel. Where it
follows a convolution, the scale is multiplied into the kernel and the shift becomes the
bias; a ReLU behind it becomes the activation of the convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_involution._arguments import received
from keras_involution._keras_private import flat_layers, nodes_of
from keras_involution.layers._int8 import float_policy

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)


def fuse_for_inference(model: keras.Model) -> keras.Model:
    """Returns an equal model with batch normalization folded into convolutions.

    The new model has its own copy of the weights: fuse again after training. Its
    outputs equal those of `model` with `training=False`, up to rounding. Normalization
    that does not follow a convolution does not change.

    Args:
        model: Functional or built sequential Keras model, such as a
            `RedNetImageClassifier`. Nested functional models are fused too.

    Returns:
        A plain, non-trainable `keras.Model` with the same inputs and outputs.

    Raises:
        ValueError: If the model is neither functional nor built sequential, or a layer
            cannot be copied from its config.

    Example:

    >>> from keras_involution import RedNetBackbone
    >>> from keras_involution.models import fuse_for_inference
    >>> model = RedNetBackbone([32], [1], [1], image_shape=(32, 32, 3))
    >>> fused = fuse_for_inference(model)
    >>> fused.count_params() < model.count_params()
    True
    """
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise ValueError(
            "Only functional and built sequential models can be fused. "
            + received(model=model)
        )
    # Structures of tensors; a sequential model has one of each.
    inputs = getattr(model, "input", model.inputs[0])
    outputs = getattr(model, "output", model.outputs[0])
    plain = keras.Model(inputs, outputs, name=model.name)
    chains = {chain[0]: chain[1:] for chain in _chains(plain)}
    folded = {id(layer) for rest in chains.values() for layer in rest}
    copies: list[tuple[Any, Any]] = []

    def copy(layer: Any) -> Any:
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
            return fuse_for_inference(layer)
        if id(layer) in folded:
            return _Folded(name=layer.name)
        copies.append((layer, _without_weights(layer, chains.get(layer, ()))))
        return copies[-1][1]

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return args[0] if isinstance(layer, _Folded) else layer(*args, **kwargs)

    fused = keras.models.clone_model(plain, clone_function=copy, call_function=call)
    for layer, new in copies:
        if layer in chains:
            new.set_weights(_folded(layer, chains[layer][0]))
        else:
            copy_weights(layer, new)
    fused.trainable = False
    return fused


class _Folded(layers.Layer):
    """Placeholder for a layer that was folded into a convolution; never called."""


def _chains(model: keras.Model) -> Iterator[tuple[Any, ...]]:
    """Yields (convolution, norm) or (convolution, norm, ReLU) that can be folded.

    No other layer reads the intermediate tensors.
    """
    reader = reader_of(model)
    for layer in model.layers:
        norm = reader(layer) if isinstance(layer, _CONVOLUTIONS) else None
        if normalizes(norm, layer):
            relu = reader(norm)
            yield (layer, norm, relu) if is_relu(relu) else (layer, norm)


def reader_of(model: keras.Model) -> Callable[[Any], Any]:
    """Returns a function from a layer to the only layer that reads its output.

    The function returns `None` if several layers, or none, read the output.
    """
    readers: dict[int, list[Any]] = {id(tensor): [] for tensor in model.outputs}
    outputs = set(readers)
    for layer in model.layers:
        for node in nodes_of(layer):
            for tensor in node.input_tensors:
                readers.setdefault(id(tensor), []).append(layer)

    def reader(layer: Any) -> Any:
        if len(nodes_of(layer)) != 1 or id(layer.output) in outputs:
            return None
        reading = readers.get(id(layer.output), [])
        only = len(reading) == 1 and len(nodes_of(reading[0])) == 1
        return reading[0] if only else None

    return reader


def normalizes(norm: Any, convolution: Any) -> bool:
    if not isinstance(norm, layers.BatchNormalization):
        return False
    rank = len(convolution.output.shape)
    last = convolution.data_format == "channels_last"
    is_linear = convolution.activation is keras.activations.linear
    same_dtype = norm.compute_dtype == convolution.compute_dtype
    channels = rank - 1 if last else 1
    return is_linear and same_dtype and norm.axis % rank == channels


def is_relu(layer: Any) -> bool:
    if isinstance(layer, layers.Activation):
        return layer.activation is keras.activations.relu
    if not isinstance(layer, layers.ReLU):
        return False
    return layer.max_value is None and not (layer.negative_slope or layer.threshold)


def _without_weights(layer: Any, folded: tuple[Any, ...]) -> Any:
    try:
        config = layer.get_config()
        if folded:
            # The folded kernel differs from the quantized one, so it stays in float.
            config["dtype"] = float_policy(layer.dtype_policy)
            config["use_bias"] = True
            config["activation"] = "relu" if len(folded) == 2 else None
            for key in ("lora_rank", "lora_alpha"):  # the kernel includes them
                config.pop(key, None)
        return layer.__class__.from_config(config)
    except Exception as error:  # third-party layers may raise any exception
        raise ValueError(
            f"A layer cannot be copied from its config: {error} "
            + received(layer=layer.name)
        ) from error


def copy_weights(layer: Any, new: Any) -> None:
    """Copies weights with the layers' own saving, which merges LoRA matrices."""
    pairs = zip(
        flat_layers(layer, include_self=True),
        flat_layers(new, include_self=True),
        strict=True,
    )
    for old, other in pairs:
        variables: dict[str, Any] = {}
        old.save_own_variables(variables)
        if variables:
            to_numpy = keras.ops.convert_to_numpy
            other.load_own_variables({k: to_numpy(v) for k, v in variables.items()})


def _folded(convolution: Any, norm: Any) -> list[np.ndarray]:
    """Returns the folded kernel and bias, computed in float64."""

    def numbers(variable: Any, otherwise: float = 0.0) -> Any:
        if variable is None:
            return otherwise
        return keras.ops.convert_to_numpy(variable).astype("float64")

    variance, mean = numbers(norm.moving_variance), numbers(norm.moving_mean)
    scale = numbers(norm.gamma, 1.0) / np.sqrt(variance + norm.epsilon)
    bias = numbers(convolution.bias)
    kernel = numbers(convolution.kernel) * scale  # filters are its last axis
    return [kernel, numbers(norm.beta) + (bias - mean) * scale]
