"""Networks with the weights of a preset or with random weights."""

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
    """Builds a classifier of the given classes.

    Args:
        start: One of `STARTS`.
        preset: Name or folder of the preset; used with `start="preset"`.
        depth: Integer, depth of random networks.
        image_size: Integer, side of the images.
        names: List of class names.
        seed: Integer, random seed.
    """
    keras.utils.set_random_seed(seed)
    if start == "preset":
        return classifier_of_preset(preset, names, image_size)
    operator = "convolution" if start == "random baseline" else "involution"
    return build_classifier(depth, image_size, names, spatial_operator=operator)
