"""A preset of the paper's authors: architecture and preprocessing, no weights."""

from __future__ import annotations

from typing import Any

import keras_involution
from keras_involution import RedNetBackbone, RedNetImageConverter
from keras_involution.hub import CardFacts, Metric, model_card
from keras_involution.models.rednet_presets import PUBLISHED_BY

NOTE = """**Architecture and preprocessing only: no weights.** The checkpoints of the
paper's authors cannot be downloaded any more, and nobody has published a copy that this
project may refer to. With a checkpoint file at hand, `keras-involution convert` makes a
preset with weights of it."""


def build_model(name: str, metadata: dict[str, Any]) -> Any:
    depth, layout = metadata["depth"], {"data_format": "channels_last"}
    # Keras numbers the names that it makes up; these stay the same.
    return getattr(keras_involution, f"RedNet{depth}")(
        backbone=RedNetBackbone.from_depth(depth, name="red_net_backbone", **layout),
        preprocessor=RedNetImageConverter((224, 224), name="image_converter", **layout),
        name=name,
    )


def card(model: Any, name: str, metadata: dict[str, Any]) -> str:
    metrics = [
        Metric(
            name=f"Top-{k} accuracy (%)",
            value=metadata["accuracy"][f"top_{k}"],
            dataset="ImageNet-1k, validation",
            source=PUBLISHED_BY,
        )
        for k in (1, 5)
    ]
    usage = (
        "```python\nimport keras_involution\n\n"
        f"model = keras_involution.{type(model).__name__}.from_preset(\n"
        f'    "{name}", load_weights=False\n)\n```'
    )
    facts = CardFacts(
        usage=usage,
        description=f"{metadata['description']}\n\n{NOTE}",
        training_data="ImageNet-1k, by the authors of the paper.",
        data_licence="https://www.image-net.org/download.php",
        metrics=metrics,
        intended_use="Classifying photographs of objects; a start for other data.",
        limits=(
            "The accuracies are the authors', of their weights, with the short side at "
            "256 and the middle 224 x 224; this project has not measured them."
        ),
    )
    return model_card(model, f"keras-involution/{name}", facts)
