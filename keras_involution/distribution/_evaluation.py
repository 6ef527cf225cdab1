"""Predictions and metrics of all rows, where each process computes its shard."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_involution import _arguments
from keras_involution.distribution.data import rows_of, shard_rows, take
from keras_involution.distribution.hosts import Hosts


def predict(
    run: Callable[[Any], Any],
    gather: Callable[[np.ndarray], np.ndarray],
    hosts: Hosts,
    replicas: int,
    x: Any,
    batch_size: int,
) -> Any:
    """See `Distribution.predict`.

    Args:
        run: Function from a batch of this process to its predictions.
        gather: Function that concatenates the arrays of all processes.
        hosts: `Hosts`.
        replicas: Integer, copies of the model in this process.
        x: Structure of arrays (N, ...).
        batch_size: Integer, rows per step of one copy.
    """
    _arguments.positive_integer(batch_size, "batch_size")
    count = rows_of(x)
    rows = shard_rows(count, hosts)
    # All processes take the same number of steps with the same number of rows. The last
    # steps are padded with a row that is dropped again.
    size = batch_size * replicas
    steps = math.ceil(math.ceil(count / hosts.world_size) / size)
    filled = np.zeros(steps * size, int)
    filled[: len(rows)] = rows
    batches = np.split(filled, steps) if steps else []
    outputs = [run(take(x, batch)) for batch in batches]
    kept = _kept(count, hosts, steps * size)

    def whole(*arrays: np.ndarray) -> np.ndarray:
        local = np.concatenate(arrays)
        return (gather(local) if hosts.world_size > 1 else local)[kept]

    return keras.tree.map_structure(whole, *outputs)


def _kept(count: int, hosts: Hosts, length: int) -> np.ndarray:
    """The positions of the rows in the concatenated outputs of all processes."""
    sizes = [len(p) for p in np.array_split(np.arange(count), hosts.world_size)]
    return np.concatenate(
        [np.arange(size) + rank * length for rank, size in enumerate(sizes)]
    )


def metrics(
    model: Any,
    values: list[tuple[Any, Any]],
    loss_factor: float,
    y: Any,
    predictions: Any,
    sample_weight: Any,
    batch_size: int,
) -> dict[str, float]:
    """Loss and compiled metrics of predictions. The metrics of the model do not change.

    Args:
        model: Compiled Keras model.
        values: Pairs of variables and their values in this process.
        loss_factor: Float, the number by which the backend divides losses in the block.
        y: Structure of arrays (N, ...).
        predictions: Structure of arrays (N, ...).
        sample_weight: Array (N,) or `None`.
        batch_size: Integer.
    """
    count, total = rows_of((y, predictions, sample_weight)), 0.0
    with keras.StatelessScope(values):
        model.reset_metrics()
        for start in range(0, count, batch_size):
            rows = np.arange(start, min(start + batch_size, count))
            truth, outputs = take((y, predictions), rows)
            weights = None if sample_weight is None else take(sample_weight, rows)
            loss = model.compute_loss(None, truth, outputs, weights, training=False)
            model.compute_metrics(None, truth, outputs, weights)
            total += float(loss) * loss_factor * len(rows)
        results = {n: float(v) for n, v in model.get_metrics_result().items()}
    return results | {"loss": total / count}
