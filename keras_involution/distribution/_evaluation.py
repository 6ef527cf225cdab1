"""Predictions and metrics of all rows, each process doing its part."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_involution import _arguments
from keras_involution.distribution.data import rows_of, shard_rows, take
from keras_involution.distribution.hosts import Hosts

if TYPE_CHECKING:
    from keras_involution.distribution.distribution import Distribution


def predict(distribution: Distribution, model: Any, x: Any, batch_size: int) -> Any:
    """See `Distribution.predict`."""
    _arguments.positive_integer(batch_size, "batch_size")
    hosts, count = distribution.hosts, rows_of(x)
    rows = shard_rows(count, hosts)
    # Every process takes as many steps, and every step has as many rows: the last
    # ones are filled up with a row that is thrown away again.
    size = batch_size * distribution.local_replicas
    steps = math.ceil(math.ceil(count / hosts.processes) / size)
    filled = np.zeros(steps * size, int)
    filled[: len(rows)] = rows
    run = distribution._predictor_of(model)
    parts = [run(take(x, part)) for part in np.split(filled, steps)] if steps else []
    kept = _kept(count, hosts, steps * size)

    def whole(*batches: np.ndarray) -> np.ndarray:
        local = np.concatenate(batches)
        return (distribution.gather(local) if hosts.processes > 1 else local)[kept]

    return keras.tree.map_structure(whole, *parts)


def predict_here(distribution: Distribution, model: Any, x: Any) -> Any:
    """What the model says of a batch of this process, shared by its devices."""
    count, devices = rows_of(x), distribution.local_replicas
    filled = np.zeros(math.ceil(count / devices) * devices, int)
    filled[:count] = np.arange(count)
    outputs = distribution._predictor_of(model)(take(x, filled))
    return keras.tree.map_structure(lambda array: array[:count], outputs)


def _kept(count: int, hosts: Hosts, length: int) -> np.ndarray:
    """Where the rows lie in the parts of all processes, one after the other."""
    sizes = [len(p) for p in np.array_split(np.arange(count), hosts.processes)]
    return np.concatenate(
        [np.arange(size) + number * length for number, size in enumerate(sizes)]
    )


def figures(
    distribution: Distribution,
    model: Any,
    y: Any,
    predictions: Any,
    sample_weight: Any,
    batch_size: int,
) -> dict[str, float]:
    """Loss and compiled metrics of predictions; the model's own are left alone."""
    count, total = rows_of((y, predictions, sample_weight)), 0.0
    with keras.StatelessScope(distribution._local_values(model)):
        model.reset_metrics()
        for start in range(0, count, batch_size):
            rows = np.arange(start, min(start + batch_size, count))
            part = take((y, predictions), rows)
            weights = None if sample_weight is None else take(sample_weight, rows)
            loss = model.compute_loss(None, *part, weights, training=False)
            model.compute_metrics(None, *part, weights)
            total += float(loss) * distribution._loss_factor * len(rows)
        results = {n: float(v) for n, v in model.get_metrics_result().items()}
    return results | {"loss": total / count}
