"""RedNet as a backbone of keras-hub."""

from __future__ import annotations

import keras

from keras_involution import models
from keras_involution._arguments import received

try:
    from keras_hub.models import Backbone, FeaturePyramidBackbone
except ImportError as error:
    raise ImportError(
        "This module needs keras-hub, which is missing or incomplete. Run "
        f'`pip install "keras-involution[keras-hub]"`. {received(error=str(error))}'
    ) from error


# mypy does not support computed base classes, here and below.
class _ServedByGeneralClasses(type(FeaturePyramidBackbone)):  # type: ignore[misc]
    """Makes keras-hub use its general task classes for a backbone.

    If `cls.backbone_cls != backbone_cls`, `from_preset` of `ImageClassifier` and
    similar classes looks for a subclass for the backbone, and adds a new head if the
    preset does not name that subclass. Our presets name `ImageClassifier` itself, so
    that keras-hub reads them after `import keras_involution` alone. The `backbone_cls`
    of `ImageClassifier` is `None`, so our class must compare equal to `None`.
    """

    def __ne__(cls, other: object) -> bool:
        return other is not None and super().__ne__(other)


def _functional_class() -> type:
    """The class of functional models, which `keras.Model(inputs, outputs)` returns."""
    tensor = keras.Input((1,), name="tensor")
    return type(keras.Model(tensor, tensor, name="model"))


# Registered under the name of the plain class, which presets and saved models contain.
# From now on they load as this class, a subclass of the plain one. Our own
# `from_preset` still builds the plain class.
# Keras inserts its functional class into the bases when the first instance is created.
# Naming all bases here keeps it after those of keras-hub in every order of use.
@keras.saving.register_keras_serializable(package="keras_involution")
class RedNetBackbone(
    models.RedNetBackbone,
    FeaturePyramidBackbone,
    Backbone,
    _functional_class(),  # type: ignore[misc]
    metaclass=_ServedByGeneralClasses,
):
    __doc__ = models.RedNetBackbone.__doc__
