"""Splits single batches over the replicas of a TensorFlow strategy."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from keras import tree

from keras_involution._keras_private import build_metrics


def local_replicas() -> int:
    """Returns the number of replicas of the current strategy in this process."""
    strategy = tf.distribute.get_strategy()
    return len(strategy.extended.worker_devices)


def made_outside(model: Any) -> list[str]:
    """Returns the paths of variables created outside the current strategy."""
    if not tf.distribute.has_strategy():
        return []
    is_ours = tf.distribute.get_strategy().extended.variable_created_in_scope
    return [v.path for v in model.variables if not is_ours(v.value)]


def split(batch: Any) -> Any:
    """Splits a batch (B, ...) of this process into one value for each replica."""
    replicas = local_replicas()

    def one(array: Any) -> Any:
        if array is None:
            return None
        parts = np.split(np.asarray(array), replicas)

        def part(context: Any) -> Any:
            return tf.convert_to_tensor(
                parts[context.replica_id_in_sync_group % replicas]
            )

        strategy = tf.distribute.get_strategy()
        return strategy.experimental_distribute_values_from_function(part)

    return tree.map_structure(one, batch)


def joined(values: Any) -> Any:
    """Concatenates the values of all replicas of this process as NumPy arrays."""
    strategy = tf.distribute.get_strategy()

    def one(value: Any) -> np.ndarray:
        parts = strategy.experimental_local_results(value)
        return np.concatenate([part.numpy() for part in parts])

    return tree.map_structure(one, values)


def train_on_batch(
    model: Any, parent: Any, x: Any, y: Any, sample_weight: Any
) -> dict[str, float]:
    batch = (x, y, sample_weight)
    # Keras builds metrics from the shapes of a batch; a split batch has no shape.
    build_metrics(model, batch)
    parent.train_on_batch(*split(batch))
    # The return value of Keras covers only the first replica.
    return {name: float(v) for name, v in model.get_metrics_result().items()}


def predict_on_batch(parent: Any, x: Any) -> Any:
    count, replicas = len(tree.flatten(x)[0]), local_replicas()
    # All replicas need the same number of rows: repeat the last row, then drop copies.
    rows = np.minimum(np.arange(-(-count // replicas) * replicas), count - 1)
    filled = tree.map_structure(lambda array: np.asarray(array)[rows], x)
    outputs = parent.predict_on_batch(split(filled))
    return tree.map_structure(lambda array: np.asarray(array)[:count], outputs)
