"""The network, and its preset in half precision."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution import RedNetImageClassifier, RedNetImageConverter, models
from keras_involution.hub.save import documents

MAX_FILE = 15 / 1024
"""GB of a file of weights."""


def build_network(
    depth: int,
    image_size: int,
    class_names: list[str],
    dtype: str = "float32",
    **arguments: Any,
) -> RedNetImageClassifier:
    """A new classifier of pictures of any size, whose preset stretches them to one."""
    converter = RedNetImageConverter(
        (image_size, image_size),
        crop_to_aspect_ratio=False,
        antialias=True,
        data_format="channels_last",
    )
    return getattr(models, f"RedNet{depth}")(
        num_classes=len(class_names),
        class_names=class_names,
        preprocessor=converter,
        data_format="channels_last",
        dtype=dtype,
        # Logits of three digits would tie, and a tie is no answer.
        head_dtype="float32" if dtype.startswith("mixed") else None,
        **arguments,
    )


def save_half(
    model: RedNetImageClassifier,
    folder: Path,
    build: Callable[..., RedNetImageClassifier],
) -> None:
    """Writes the preset of a float32 model whose files hold float16 values.

    Args:
        model: The model with the weights, of any dtype.
        folder: Path of the preset.
        build: Function that makes the same network of a `dtype`.
    """
    largest = float(np.finfo("float16").max)
    weights = [np.clip(weight, -largest, largest) for weight in model.get_weights()]
    half = build(dtype="float16")
    half.set_weights(weights)
    half.save_to_preset(folder, max_shard_size=MAX_FILE)
    for name, data in documents(build(dtype="float32")).items():
        draft = folder / f".{name}"
        draft.write_text(json.dumps(data, indent=4) + "\n", "utf-8")
        os.replace(draft, folder / name)
