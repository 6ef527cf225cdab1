"""Networks, new or of a preset, and how they are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution import (
    RedNetBackbone,
    RedNetImageClassifier,
    RedNetImageConverter,
    models,
)
from keras_involution._arguments import received
from keras_involution._files import write_text
from keras_involution.hub.save import documents

MAX_FILE = 15 / 1024
"""GB of a file of weights."""


def build_network(
    depth: int,
    image_size: int,
    class_names: list[str],
    dtype: str = "float32",
    name: str | None = None,
    **arguments: Any,
) -> RedNetImageClassifier:
    """A new classifier of pictures of any size, whose preset stretches them to one.

    Its parts have the same names in every process. `arguments` are the backbone's.
    """
    layout = {"data_format": "channels_last"}
    return getattr(models, f"RedNet{depth}")(
        num_classes=len(class_names),
        class_names=class_names,
        backbone=RedNetBackbone.from_depth(
            depth, name="red_net_backbone", dtype=dtype, **layout, **arguments
        ),
        preprocessor=RedNetImageConverter(
            (image_size, image_size),
            crop_to_aspect_ratio=False,
            antialias=True,
            name="image_converter",
            **layout,
        ),
        head_dtype=head_dtype(dtype),
        name=name,
    )


def place_weights(model: RedNetImageClassifier, preset: str) -> None:
    """Puts the weights of a preset, the head's too, into the same network.

    Raises:
        ValueError: If the preset is another network, or has other classes.
    """
    saved = RedNetImageClassifier.from_preset(preset, dtype="float32")
    if list(saved.class_names or ()) != list(model.class_names):
        raise ValueError(
            "The preset must have the classes of the pictures, in their order. "
            + received(preset=preset)
        )
    shapes = [tuple(weight.shape) for weight in saved.weights]
    if shapes != [tuple(weight.shape) for weight in model.weights]:
        raise ValueError(
            "The preset must be a network of the same depth and operator. "
            + received(preset=preset)
        )
    model.set_weights(saved.get_weights())


def network_of_preset(
    preset: str,
    class_names: Sequence[str],
    image_size: int | None = None,
    drop_path_rate: float = 0.0,
) -> RedNetImageClassifier:
    """The network of a preset for other classes and another image size.

    The head stays where the preset names the same classes, or has as many without
    names; otherwise a new one takes its place. Scale, offset and cropping of the
    preset's preprocessing stay.

    Args:
        preset: Whatever `RedNetImageClassifier.from_preset` takes.
        class_names: Sequence of strings.
        image_size: Integer; `None` takes the preset's.
        drop_path_rate: Float, stochastic depth of the last bottleneck.

    Returns:
        A float32 `RedNetImageClassifier`, channels last.

    Raises:
        ValueError: If the preset is unknown, or pads its pictures.
    """
    saved = RedNetImageClassifier.from_preset(preset, dtype="float32")
    changes = {
        "drop_path_rate": drop_path_rate,
        "data_format": "channels_last",
        "image_shape": (None, None, 3),
    }
    backbone = RedNetBackbone.from_config({**saved.backbone.get_config(), **changes})
    backbone.set_weights(saved.backbone.get_weights())
    model = RedNetImageClassifier(
        backbone=backbone,
        num_classes=len(class_names),
        class_names=class_names,
        preprocessor=_converter(saved.preprocessor, image_size),
        pooling=saved.pooling,
        dropout=saved.dropout,
    )
    known = saved.class_names or list(class_names)
    if saved.num_classes == len(class_names) and known == list(class_names):
        head = saved.get_layer("predictions").get_weights()
        model.get_layer("predictions").set_weights(head)
    return model


def _converter(
    saved: RedNetImageConverter, image_size: int | None
) -> RedNetImageConverter:
    config = saved.get_config()
    if config["pad_to_aspect_ratio"]:
        raise ValueError(
            "The preset pads its pictures; here they are stretched, or cropped to "
            "their middle. " + received(pad_to_aspect_ratio=True)
        )
    size = (image_size, image_size) if image_size else saved.image_size
    if size is None or size[0] != size[1]:
        raise ValueError(
            "Pictures become squares here: say of which `image_size`. "
            + received(image_size=size)
        )
    changes = {"image_size": size, "data_format": "channels_last"}
    return RedNetImageConverter.from_config({**config, **changes})


def head_dtype(dtype: str) -> str | None:
    """Logits of three digits would tie, and a tie is no answer."""
    return "float32" if dtype.startswith("mixed") else None


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
        write_text(folder / name, json.dumps(data, indent=4) + "\n")
