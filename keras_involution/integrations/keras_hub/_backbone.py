"""The backbone as keras-hub wants it."""

from __future__ import annotations

import keras

from keras_involution import models
from keras_involution._arguments import received

try:
    from keras_hub.models import Backbone, FeaturePyramidBackbone
except ImportError as error:
    raise ImportError(
        "This module needs keras-hub, which is missing or not complete: "
        f'pip install "keras-involution[keras-hub]". {received(error=str(error))}'
    ) from error


# mypy does not follow bases that are computed, here and below.
class _ServedByGeneralClasses(type(FeaturePyramidBackbone)):  # type: ignore[misc]
    """Leaves a backbone to keras-hub's general classes.

    `from_preset` of `ImageClassifier` and its like goes from a backbone of keras-hub to
    a subclass for it where `cls.backbone_cls != backbone_cls`, and puts a new head on
    where the preset names no such subclass. Our presets name `ImageClassifier` itself,
    so that keras-hub reads them with `import keras_involution` alone. Its
    `backbone_cls` is `None`, for any backbone: ours must not differ from that.
    """

    def __ne__(cls, other: object) -> bool:
        return other is not None and super().__ne__(other)


def _functional_class() -> type:
    """What `keras.Model` turns into when it is called with inputs and outputs."""
    tensor = keras.Input((1,), name="tensor")
    return type(keras.Model(tensor, tensor, name="model"))


# Under the name of the plain class, which is what presets and saved models hold: they
# give this class from now on, which is a plain one, too. The plain class itself stays
# what it is, and our own `from_preset` still builds it.
# Keras puts its functional class among the bases once there is an instance. With all of
# them named here, it stands behind keras-hub's, whichever class had an instance first.
@keras.saving.register_keras_serializable(package="keras_involution")
class RedNetBackbone(
    models.RedNetBackbone,
    FeaturePyramidBackbone,
    Backbone,
    _functional_class(),  # type: ignore[misc]
    metaclass=_ServedByGeneralClasses,
):
    __doc__ = models.RedNetBackbone.__doc__
