"""Files of presets with weights published by the authors of the paper."""

from __future__ import annotations

from typing import Any

import keras_involution
from benchmarks._cards.imagenet import imagenet_classes
from keras_involution import RedNetBackbone, RedNetImageConverter
from keras_involution.hub.published_card import published_card


def build_model(name: str, metadata: dict[str, Any]) -> Any:
    """Builds the published architecture with random weights."""
    depth, layout = metadata["depth"], {"data_format": "channels_last"}
    converter = RedNetImageConverter(
        name="image_converter", **metadata["evaluation"], **layout
    )
    # Set the names, because the default names of Keras contain a counter.
    return getattr(keras_involution, f"RedNet{depth}")(
        backbone=RedNetBackbone.from_depth(depth, name="red_net_backbone", **layout),
        preprocessor=converter,
        class_names=list(imagenet_classes().values()),
        name=name,
    )


def measured(name: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Returns no measurements: the accuracy is that of the authors and PaddleClas."""
    return {}


def card(model: Any, name: str, metadata: dict[str, Any]) -> str:
    return published_card(model, name, metadata)
