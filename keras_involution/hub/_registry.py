"""The classes that presets describe, found where they are registered with Keras.

The hub stands below the models and imports none of them. `import keras_involution`
registers them.
"""

from __future__ import annotations

from typing import Any

import keras


def classifier_class() -> Any:
    """The class of classifiers; `backbone_cls` and `converter_cls` are its parts."""
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
