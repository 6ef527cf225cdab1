"""Builds the network of a training run, new or from a preset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_involution import models
from keras_involution._arguments import received
from keras_involution.models import (
    RedNetBackbone,
    RedNetImageClassifier,
    RedNetImageConverter,
)

OPERATORS = {"rednet": "involution", "resnet": "convolution"}


def build_classifier(
    depth: int,
    image_size: int,
    class_names: list[str],
    dtype: str = "float32",
    name: str | None = None,
    **kwargs: Any,
) -> RedNetImageClassifier:
    """Builds a classifier for images of any size, which it stretches to a square.

    The names of the layers are the same in every process.

    Args:
        depth: Integer, a published depth.
        image_size: Integer, side of the square.
        class_names: List of strings.
        dtype: Name of a dtype policy.
        name: String, name of the model.
        **kwargs: Arguments of `RedNetBackbone.from_depth`.
    """
    layout: dict[str, Any] = {"data_format": "channels_last"}
    return getattr(models, f"RedNet{depth}")(
        num_classes=len(class_names),
        class_names=class_names,
        backbone=RedNetBackbone.from_depth(
            depth, name="red_net_backbone", dtype=dtype, **layout, **kwargs
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


def classifier_of_preset(
    preset: str,
    class_names: Sequence[str],
    image_size: int | None = None,
    drop_path_rate: float = 0.0,
) -> RedNetImageClassifier:
    """Loads the network of a preset for other classes and another image size.

    The head is kept if the preset has the same class names, or no names but the same
    number of classes. Otherwise, it is replaced. Scale, offset and cropping are kept.

    Args:
        preset: As in `RedNetImageClassifier.from_preset`.
        class_names: Sequence of strings.
        image_size: Integer; `None` uses that of the preset.
        drop_path_rate: Float, stochastic depth rate of the last bottleneck.

    Returns:
        A float32 `RedNetImageClassifier`, channels last.

    Raises:
        ValueError: If the preset is unknown, or pads its images.
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
        preprocessor=_converter(converter_of(saved), image_size),
        pooling=saved.pooling,
        dropout=saved.dropout,
    )
    known = saved.class_names or list(class_names)
    if saved.num_classes == len(class_names) and known == list(class_names):
        head = saved.get_layer("predictions").get_weights()
        model.get_layer("predictions").set_weights(head)
    return model


def converter_of(model: RedNetImageClassifier) -> RedNetImageConverter:
    """Returns the preprocessor of a classifier.

    Raises:
        ValueError: If the classifier has no preprocessor.
    """
    if model.preprocessor is None:
        raise ValueError(
            "The network has no preprocessor, so it cannot take images. "
            + received(preprocessor=None)
        )
    return model.preprocessor


def _converter(
    saved: RedNetImageConverter, image_size: int | None
) -> RedNetImageConverter:
    config = saved.get_config()
    if config["pad_to_aspect_ratio"]:
        raise ValueError(
            "The preset pads its images; training stretches them or crops the central "
            "square. " + received(pad_to_aspect_ratio=True)
        )
    size = (image_size, image_size) if image_size else saved.image_size
    if size is None or size[0] != size[1]:
        raise ValueError(
            "Training uses square images; set `image_size`. "
            + received(image_size=size)
        )
    changes = {"image_size": size, "data_format": "channels_last"}
    return RedNetImageConverter.from_config({**config, **changes})


def head_dtype(dtype: str) -> str | None:
    """Returns "float32" for mixed precision, where rounded logits could tie."""
    return "float32" if dtype.startswith("mixed") else None
