"""Finds the classes of presets in the registry of Keras.

`hub` does not import `models`, which is above it in the import order.
`import keras_involution` registers the classes.
"""

from __future__ import annotations

from typing import Any

import keras


def classifier_class() -> Any:
    """The classifier class, with its `backbone_cls` and `converter_cls`."""
    name = "keras_involution>RedNetImageClassifier"
    cls = keras.saving.get_registered_object(name)
    if cls is None:
        raise ValueError(
            "The classes of the models are not registered with Keras; import "
            f"`keras_involution.models` first. Received: name={name!r}"
        )
    return cls


def backbone_class() -> Any:
    return classifier_class().backbone_cls


def converter_class() -> Any:
    return classifier_class().converter_cls


def is_backbone(model: Any) -> bool:
    return isinstance(model, backbone_class())
