"""The published depths, one class each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_involution._arguments import received
from keras_involution.models.rednet_backbone import RedNetBackbone
from keras_involution.models.rednet_image_classifier import RedNetImageClassifier

_DOCSTRING = """RedNet-{depth}, an image classifier of {parameters} M parameters.

    Args:
        num_classes: Integer, number of classes.
        backbone: `RedNetBackbone` of this depth to put the head on; `None` makes one.
        spatial_operator: `"involution"`, or `"convolution"` for ResNet-{depth} on the
            same plan.
        stem_kernel_size: Odd integer, window of the involution of the stem.
        drop_path_rate: Float from 0 to 1, exclusive: how often the last bottleneck's
            branch is left out for an image in training.
        image_shape: Tuple of 3, the shape of an image; `None` for any size.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's
            global setting.
        dtype: dtype or `keras.DTypePolicy` of all layers.
        **kwargs: Further arguments of `RedNetImageClassifier`: `preprocessor`,
            `pooling`, `activation`, `dropout`, `class_names`, `include_top`, `name`.

    Call arguments:
        inputs: Floating-point tensor, prepared as by `preprocessor`.
        training: Boolean, whether batch normalisation uses the statistics of the batch.

    Input shape:
        (B, H, W, C), or (B, C, H, W) channels first. Any H and W.

    Output shape:
        (B, num_classes); without the head (B, C), or the map of the backbone.

    Returns:
        Tensor, logits unless `activation` says otherwise.

    Raises:
        ValueError: If an argument does not fit, or a backbone is of another depth.

    Example:

    >>> from keras_involution import RedNet{depth}
    >>> model = RedNet{depth}(num_classes=10)
    >>> model.output_shape
    (None, 10)

    Reference:
        Li et al., "Involution: Inverting the Inherence of Convolution for Visual
        Recognition", CVPR 2021, https://arxiv.org/abs/2103.06255
    """


_DEFAULTS = {
    "spatial_operator": "involution",
    "stem_kernel_size": 3,
    "drop_path_rate": 0.0,
    "image_shape": None,
    "data_format": None,
    "dtype": None,
}


class _RedNetOfOneDepth(RedNetImageClassifier):
    depth: int

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        backbone: keras.Model | None = None,
        spatial_operator: str = "involution",
        stem_kernel_size: int = 3,
        drop_path_rate: float = 0.0,
        image_shape: Sequence[int | None] | None = None,
        data_format: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        arguments = {
            "spatial_operator": spatial_operator,
            "stem_kernel_size": stem_kernel_size,
            "drop_path_rate": drop_path_rate,
            "image_shape": image_shape,
            "data_format": data_format,
            "dtype": dtype,
        }
        if backbone is None:
            backbone = RedNetBackbone.from_depth(self.depth, **arguments)
        elif arguments != _DEFAULTS:
            raise ValueError(
                "A `backbone` has these settings already; give them to it. "
                + received(**{n: v for n, v in arguments.items() if v != _DEFAULTS[n]})
            )
        self.check_depth(backbone)
        super().__init__(backbone=backbone, num_classes=num_classes, **kwargs)

    @classmethod
    def check_depth(cls, backbone: keras.Model) -> None:
        """Raises where `backbone` is not of the depth of this class."""
        depth = getattr(backbone, "depth", None)
        if depth != cls.depth:
            raise ValueError(
                f"`{cls.__name__}` needs a backbone of depth {cls.depth}. "
                + received(depth=depth)
            )


def _class_of_depth(depth: int, parameters: str) -> type[_RedNetOfOneDepth]:
    name = f"RedNet{depth}"
    body = {
        "depth": depth,
        "__doc__": _DOCSTRING.format(depth=depth, parameters=parameters),
        "__module__": __name__,
        "__qualname__": name,
    }
    cls = type(name, (_RedNetOfOneDepth,), body)
    return keras.saving.register_keras_serializable(package="keras_involution")(cls)


RedNet26 = _class_of_depth(26, "9.23")
RedNet38 = _class_of_depth(38, "12.39")
RedNet50 = _class_of_depth(50, "15.54")
RedNet101 = _class_of_depth(101, "25.65")
RedNet152 = _class_of_depth(152, "33.98")
