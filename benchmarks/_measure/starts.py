"""The networks that a training begins from: a preset, and random weights beside it."""

from __future__ import annotations

from typing import Any

import keras

from keras_involution.training.classifier.network import (
    build_classifier,
    classifier_of_preset,
)

STARTS = ("preset", "random", "random baseline")


def build(
    start: str, preset: str, depth: int, image_size: int, names: list[str], seed: int
) -> Any:
    """A classifier of these classes; the preset's depth is its own."""
    keras.utils.set_random_seed(seed)
    if start == "preset":
        return classifier_of_preset(preset, names, image_size)
    operator = "convolution" if start == "random baseline" else "involution"
    return build_classifier(depth, image_size, names, spatial_operator=operator)
