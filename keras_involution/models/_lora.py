"""LoRA: low-rank updates for the frozen 1x1 convolutions of a backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._keras_private import flat_layers


def layers_with_weights(model: Any) -> list[Any]:
    return [layer for layer in flat_layers(model) if layer.weights]


def pointwise_names(model: Any) -> list[str]:
    """Returns the names of all 1x1 convolutions, including those in involutions."""
    names = [layer.name for layer in layers_with_weights(model) if _is_pointwise(layer)]
    return list(dict.fromkeys(names))


def enable_lora(model: Any, rank: int, names: Sequence[str]) -> list[int]:
    """Freezes a model and adds low-rank matrices to the layers with these names.

    Returns:
        List of integers, the indices of the adapted layers in `layers_with_weights`.

    Raises:
        ValueError: If no layer with one of the names can be adapted. The model does not
            change in this case.
    """
    rank = _arguments.positive_integer(rank, "rank")
    layers = layers_with_weights(model)
    chosen = [
        place
        for place, layer in enumerate(layers)
        if layer.name in names and hasattr(layer, "enable_lora")
    ]
    if not chosen:
        raise ValueError(
            "None of these layers can be adapted, so nothing would be trained. "
            + received(target_layer_names=list(names))
        )
    model.trainable = True
    for layer in layers:
        # Freezing a composite layer would also freeze the adapted layers inside.
        if not flat_layers(layer):
            layer.trainable = False
    for place in chosen:
        layers[place].trainable = True
        layers[place].enable_lora(rank)
    return chosen


def _is_pointwise(layer: Any) -> bool:
    window = getattr(layer, "kernel_size", ())
    return hasattr(layer, "enable_lora") and window != () and set(window) == {1}
