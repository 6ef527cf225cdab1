"""What Keras 3.15 tells only in private: each fact, and why it is needed.

`tests/test_keras_private.py` fails when one of them is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


def flat_layers(
    layer: Any, include_self: bool = False, recursive: bool = True
) -> list[Any]:
    """The layers inside of a layer: only models have a public list of theirs."""
    return list(layer._flatten_layers(include_self, recursive))


def own_trainable_variables(layer: Any) -> list[Any]:
    """Those of the layer alone: the public lists hold those of its layers, too."""
    return list(layer._trainable_variables)


def untrack(layer: Any, variable: Any) -> None:
    """Makes a layer forget a variable. `del layer.name` also collects garbage, which
    takes minutes for the layers of a network in a large process."""
    layer._untrack_variable(variable)


def layer_of(tensor: keras.KerasTensor) -> Any:
    """The layer that made a tensor of a functional model; nothing public leads back."""
    return tensor._keras_history.operation


def nodes_of(layer: Any) -> Sequence[Any]:
    """The calls of a layer: the public `input` and `output` are those of a single one,
    and a layer does not know who reads them."""
    nodes: Sequence[Any] = layer._inbound_nodes
    return nodes


def build_metrics(model: keras.Model, batch: tuple[Any, Any, Any]) -> None:
    """Builds metrics and optimizer from the shapes of a batch, which Keras does inside
    of `train_on_batch`, where a batch that is split among replicas has none."""
    model._symbolic_build(data_batch=batch)
