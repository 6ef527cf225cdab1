"""Names and shapes of the arrays of a published RedNet, and their variables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_involution._arguments import received
from keras_involution.models.rednet_presets import STACKWISE_NUM_BLOCKS

FILTERS = (64, 128, 256, 512)
FEATURES = 4 * FILTERS[-1]
_NORM = ("weight", "bias", "running_mean", "running_var")
# Axes for transposing from the layout of PyTorch to that of Keras, and back.
_OUTPUTS_FIRST = {4: (2, 3, 1, 0), 2: (1, 0)}
_LAYOUT = {4: (3, 2, 0, 1), 2: (1, 0)}

Shapes = dict[str, tuple[int, ...]]


def published_shapes(
    depth: int, stem_kernel_size: int, num_classes: int | None
) -> Shapes:
    """Returns the shapes of the arrays of a published file, without building a network.

    Args:
        depth: Integer, a published depth.
        stem_kernel_size: Integer, window of the involution of the stem.
        num_classes: Integer, number of classes; `None` for a file without a head.

    Returns:
        Dictionary from names without prefix to shapes.
    """
    shapes: Shapes = {"stem.0.conv.weight": (32, 3, 3, 3)} | _norm("stem.0.bn", 32)
    shapes |= _involution_shapes("stem.1", 32, stem_kernel_size) | _norm("stem.2", 32)
    shapes |= {"stem.4.conv.weight": (64, 32, 3, 3)} | _norm("stem.4.bn", 64)
    channels = 64
    for stage, blocks in enumerate(STACKWISE_NUM_BLOCKS[depth]):
        for block in range(blocks):
            at = f"layer{stage + 1}.{block}"
            shapes |= _block_shapes(at, channels, FILTERS[stage], block == 0)
            channels = 4 * FILTERS[stage]
    if num_classes is not None:
        shapes["head.fc.weight"] = (num_classes, FEATURES)
        shapes["head.fc.bias"] = (num_classes,)
    return shapes


def _norm(at: str, channels: int) -> Shapes:
    return {f"{at}.{name}": (channels,) for name in _NORM}


def _involution_shapes(at: str, channels: int, kernel_size: int) -> Shapes:
    reduced, taps = channels // 4, kernel_size**2 * (channels // 16)
    return {
        f"{at}.conv1.conv.weight": (reduced, channels, 1, 1),
        **_norm(f"{at}.conv1.bn", reduced),
        f"{at}.conv2.conv.weight": (taps, reduced, 1, 1),
        f"{at}.conv2.conv.bias": (taps,),
    }


def _block_shapes(at: str, channels: int, filters: int, shortcut: bool) -> Shapes:
    shapes: Shapes = {f"{at}.conv1.weight": (filters, channels, 1, 1)}
    shapes |= _norm(f"{at}.bn1", filters)
    shapes |= _involution_shapes(f"{at}.conv2", filters, 7)
    shapes |= _norm(f"{at}.bn2", filters)
    shapes |= {f"{at}.conv3.weight": (4 * filters, filters, 1, 1)}
    shapes |= _norm(f"{at}.bn3", 4 * filters)
    if shortcut:
        shapes |= {f"{at}.downsample.0.weight": (4 * filters, channels, 1, 1)}
        shapes |= _norm(f"{at}.downsample.1", 4 * filters)
    return shapes


def published_weights(backbone: Any, head: keras.layers.Layer | None) -> dict[str, Any]:
    """Maps published names without prefix to variables, in the order of the network.

    Raises:
        ValueError: If the network is quantized, has LoRA matrices, or has convolutions
            in place of involutions.
    """
    layers = _published_layers(backbone, head)
    for layer in layers.values():
        if getattr(layer, "lora_enabled", False):
            raise ValueError(
                "Load a published checkpoint before `enable_lora`. "
                + received(layer=layer.path)
            )
    return {
        f"{prefix}.{name}": variable
        for prefix, layer in layers.items()
        for name, variable in zip(_suffixes(layer), layer.weights, strict=True)
    }


def _published_layers(
    backbone: Any, head: keras.layers.Layer | None
) -> dict[str, keras.layers.Layer]:
    if getattr(backbone, "spatial_operator", None) != "involution":
        raise ValueError(
            "Only a `RedNetBackbone` with involutions has published names. "
            + received(backbone=backbone.name)
        )
    layers = dict(_stem(backbone))
    for stage, blocks in enumerate(backbone.stackwise_num_blocks):
        for block in range(blocks):
            layers |= dict(_block(backbone, stage, block))
    if head is not None:
        layers["head.fc"] = head
    for layer in layers.values():
        mode = getattr(layer, "quantization_mode", None)
        if mode is not None:
            raise ValueError(
                "Published checkpoints hold floating-point weights: load or write them "
                f"before `quantize`. {received(layer=layer.path, mode=mode)}"
            )
    return layers


def published_arrays(model: Any) -> dict[str, Any]:
    """Maps published names to copies of the weights in the layout of PyTorch.

    LoRA matrices are merged into the kernels.

    Raises:
        ValueError: If the model is quantized, or has convolutions in place of
            involutions.
    """
    backbone = getattr(model, "backbone", model)
    has_head = getattr(model, "num_classes", None) is not None
    head = model.get_layer("predictions") if has_head else None
    found = {}
    for place, layer in _published_layers(backbone, head).items():
        values = list(layer.weights)
        if getattr(layer, "lora_enabled", False):
            values = [v for v in (layer.kernel, layer.bias) if v is not None]
        for name, value in zip(_suffixes(layer), values, strict=True):
            array = keras.ops.convert_to_numpy(value)
            array = array.transpose(_LAYOUT.get(array.ndim, range(array.ndim)))
            prefix = "" if place.startswith("head.") else "backbone."
            found[f"{prefix}{place}.{name}"] = np.ascontiguousarray(array)
    if keras.config.backend() != "torch":
        return found
    import torch

    return {name: torch.from_numpy(array.copy()) for name, array in found.items()}


def assign_published(variable: Any, array: np.ndarray) -> None:
    """Assigns an array in the layout of PyTorch to a variable."""
    order = _OUTPUTS_FIRST.get(array.ndim, range(array.ndim))
    variable.assign(np.asarray(array, "float32").transpose(order))


def _suffixes(layer: Any) -> tuple[str, ...]:
    if isinstance(layer, keras.layers.BatchNormalization):
        return _NORM
    return ("weight",) if layer.bias is None else ("weight", "bias")


def _stem(backbone: Any) -> Iterator[tuple[str, keras.layers.Layer]]:
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
    backbone: Any, stage: int, block: int
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
