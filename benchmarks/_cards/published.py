"""A preset of the paper's authors: what comes with the package, without weights."""

from __future__ import annotations

from typing import Any

import keras_involution
from benchmarks._cards.imagenet import imagenet_classes
from keras_involution import RedNetBackbone, RedNetImageConverter
from keras_involution.hub.published_card import published_card


def build_model(name: str, metadata: dict[str, Any]) -> Any:
    depth, layout = metadata["depth"], {"data_format": "channels_last"}
    converter = RedNetImageConverter(
        name="image_converter", **metadata["evaluation"], **layout
    )
    # Keras numbers the names that it makes up; these stay the same.
    return getattr(keras_involution, f"RedNet{depth}")(
        backbone=RedNetBackbone.from_depth(depth, name="red_net_backbone", **layout),
        preprocessor=converter,
        class_names=list(imagenet_classes().values()),
        name=name,
    )


def measured(name: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Nothing: the accuracy is what the authors and PaddleClas say."""
    return {}


def card(model: Any, name: str, metadata: dict[str, Any]) -> str:
    return published_card(model, name, metadata)
