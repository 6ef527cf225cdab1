"""Private attributes of Keras 3.15 that this package uses, and the reason for each.

`tests/test_keras_private.py` fails if Keras removes one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


def flat_layers(
    layer: Any, include_self: bool = False, recursive: bool = True
) -> list[Any]:
    """All layers inside a layer. Only models have a public list."""
    return list(layer._flatten_layers(include_self, recursive))


def own_trainable_variables(layer: Any) -> list[Any]:
    """The variables of the layer without those of its sublayers.

    The public lists include both.
    """
    return list(layer._trainable_variables)


def untrack(layer: Any, variable: Any) -> None:
    """Stops a layer from tracking a variable.

    `del layer.name` also runs the garbage collector, which takes minutes for all layers
    of a network in a large process.
    """
    layer._untrack_variable(variable)


def layer_of(tensor: keras.KerasTensor) -> Any:
    """The layer that produced a tensor of a functional model."""
    return tensor._keras_history.operation


def nodes_of(layer: Any) -> Sequence[Any]:
    """The calls of a layer in functional models.

    The public `input` and `output` require a single call, and do not give the layers
    that consume the output.
    """
    nodes: Sequence[Any] = layer._inbound_nodes
    return nodes


def build_metrics(model: keras.Model, batch: tuple[Any, Any, Any]) -> None:
    """Builds the metrics and the optimizer from the shapes of a batch.

    Keras does this in `train_on_batch`, which cannot tell the shapes of a batch that is
    split among replicas.
    """
    model._symbolic_build(data_batch=batch)
