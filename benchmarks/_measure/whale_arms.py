"""Arms of the whale benchmark: an involution network and matched baselines."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

Settings = dict[str, Any]
ARMS = ("involution", "baseline", "baseline, parameters", "baseline, time")
RECIPE: Settings = {
    "image_size": 64,
    "backbone": "rednet",
    "stackwise_num_filters": [32, 64, 96, 128],
    "stackwise_num_blocks": [1, 1, 1, 1],
    "stackwise_strides": [1, 2, 2, 2],
    "cells": 3,
    "epochs": 30,
    "batch_size": 16,
    "weight_decay": 0.05,
    "scale": 21.0,
    "num_threads": 1,
    "validate_every": 1000,
}


def arm_settings(arm: str, recipe: Settings) -> Settings:
    """Returns the recipe with the changes of an arm."""
    if arm == "involution":
        return dict(recipe)
    baseline = {**recipe, "spatial_operator": "convolution"}
    if arm == "baseline, parameters":
        baseline["stackwise_num_filters"] = _narrowed(baseline, recipe)
    if arm == "baseline, time":
        ratio = _step_seconds(recipe) / _step_seconds(baseline)
        baseline["epochs"] = max(1, round(ratio * recipe["epochs"]))
    return baseline


def _narrowed(baseline: Settings, recipe: Settings) -> list[int]:
    """Returns the filters with which the baseline has about as many parameters."""
    goal = _network(recipe).count_params()
    filters = recipe["stackwise_num_filters"]
    candidates = [
        [max(2, 2 * round(f * s / 20)) for f in filters] for s in range(3, 11)
    ]

    def distance(narrow: list[int]) -> int:
        network = _network({**baseline, "stackwise_num_filters": narrow})
        return abs(network.count_params() - goal)

    return min(candidates, key=distance)


def _network(settings: Settings) -> Any:
    from keras_involution.whale_id.assemble import build_network
    from keras_involution.whale_id.config import TrainConfig

    return build_network(TrainConfig(**settings))


def _step_seconds(settings: Settings) -> float:
    """Returns the smallest CPU time of several steps, as other work adds to it."""
    from keras_involution.whale_id.assemble import Classes, build_training_model
    from keras_involution.whale_id.config import TrainConfig

    config = TrainConfig(**settings)
    classes = Classes([str(i) for i in range(100)], [2] * 100, [], [])
    model = build_training_model(_network(settings), classes, config)
    side, batch = config.image_size, config.batch_size
    targets = {"identity": np.arange(batch, dtype="int32")}
    images = np.zeros((batch, side, side, 3), "uint8")
    times = []
    for _ in range(6):
        begun = time.process_time()
        model.train_on_batch({"images": images, **targets}, targets)
        times.append(time.process_time() - begun)
    return min(times)
