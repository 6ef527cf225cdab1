"""One class for each published depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_involution import _strict
from keras_involution._arguments import received
from keras_involution.models.rednet_backbone import RedNetBackbone
from keras_involution.models.rednet_image_classifier import RedNetImageClassifier

_DEFAULTS = {
    "spatial_operator": "involution",
    "stem_kernel_size": 3,
    "drop_path_rate": 0.0,
    "image_shape": None,
    "data_format": None,
    "dtype": None,
}


class RedNetOfDepth(RedNetImageClassifier):
    """Base class of the published depths; see `RedNet26` for the arguments."""

    depth: int

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        backbone: RedNetBackbone | None = None,
        spatial_operator: str = "involution",
        stem_kernel_size: int = 3,
        drop_path_rate: float = 0.0,
        image_shape: Sequence[int | None] | None = None,
        data_format: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        _strict.check_constructor(self, kwargs)
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
                "These arguments belong to the `backbone`; pass them to it. "
                + received(**{n: v for n, v in arguments.items() if v != _DEFAULTS[n]})
            )
        self.check_depth(backbone)
        super().__init__(backbone=backbone, num_classes=num_classes, **kwargs)

    @classmethod
    def check_depth(cls, backbone: keras.Model) -> None:
        """Raises `ValueError` if `backbone` does not have the depth of this class."""
        depth = getattr(backbone, "depth", None)
        if depth != cls.depth:
            raise ValueError(
                f"`{cls.__name__}` needs a backbone of depth {cls.depth}. "
                + received(depth=depth)
            )


@keras.saving.register_keras_serializable(package="keras_involution")
class RedNet26(RedNetOfDepth):
    """RedNet-26, an image classifier of 9.23 M parameters.

    Args:
        num_classes: Integer, number of classes.
        backbone: `RedNetBackbone` of depth 26; `None` creates one.
        spatial_operator: `"involution"`, or `"convolution"` for the ResNet baseline
            of the same depth.
        stem_kernel_size: Odd integer, window of the involution of the stem: 3 in the
            published classifiers, 7 in the published detectors.
        drop_path_rate: Float in [0, 1), stochastic depth rate of the last bottleneck.
        image_shape: Tuple of 3, the shape of an image; `None` for any size.
        data_format: `"channels_last"` or `"channels_first"`; `None` uses the global
            setting of Keras.
        dtype: dtype or `keras.DTypePolicy` of all layers.
        **kwargs: Further arguments of `RedNetImageClassifier`: `preprocessor`,
            `pooling`, `activation`, `dropout`, `head_dtype`, `class_names`,
            `include_top`, `name`, `trainable`.

    Call arguments:
        inputs: Floating-point tensor, as returned by `preprocessor`.
        training: Boolean, whether batch normalization uses the statistics of the batch.

    Input shape:
        (B, H, W, C), or (B, C, H, W) channels first. Any H and W.

    Output shape:
        (B, num_classes). With `include_top=False`, (B, C) or the feature map of the
        backbone.

    Returns:
        Tensor of logits, or the result of `activation`.

    Raises:
        TypeError: If an argument is unknown.
        ValueError: If an argument is invalid, or `backbone` has another depth.

    Example:

    >>> from keras_involution import RedNet26
    >>> model = RedNet26(num_classes=10)
    >>> model.output_shape
    (None, 10)

    Reference:
        Li et al., "Involution: Inverting the Inherence of Convolution for Visual
        Recognition", CVPR 2021, https://arxiv.org/abs/2103.06255
    """

    depth = 26


@keras.saving.register_keras_serializable(package="keras_involution")
class RedNet38(RedNetOfDepth):
    """RedNet-38, an image classifier of 12.39 M parameters.

    Args:
        num_classes: Integer, number of classes.
        **kwargs: Further arguments, as in `RedNet26`.

    Call arguments:
        inputs: Floating-point tensor, as returned by `preprocessor`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) channels first.

    Output shape:
        (B, num_classes).

    Returns:
        Tensor of logits, or the result of `activation`.

    Raises:
        TypeError, ValueError: As in `RedNet26`.

    Example:

    >>> from keras_involution import RedNet38
    >>> RedNet38(num_classes=10).output_shape
    (None, 10)

    Reference:
        Li et al., "Involution", CVPR 2021, https://arxiv.org/abs/2103.06255
    """

    depth = 38


@keras.saving.register_keras_serializable(package="keras_involution")
class RedNet50(RedNetOfDepth):
    """RedNet-50, an image classifier of 15.54 M parameters.

    Args:
        num_classes: Integer, number of classes.
        **kwargs: Further arguments, as in `RedNet26`.

    Call arguments:
        inputs: Floating-point tensor, as returned by `preprocessor`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) channels first.

    Output shape:
        (B, num_classes).

    Returns:
        Tensor of logits, or the result of `activation`.

    Raises:
        TypeError, ValueError: As in `RedNet26`.

    Example:

    >>> from keras_involution import RedNet50
    >>> RedNet50(num_classes=10).output_shape
    (None, 10)

    Reference:
        Li et al., "Involution", CVPR 2021, https://arxiv.org/abs/2103.06255
    """

    depth = 50


@keras.saving.register_keras_serializable(package="keras_involution")
class RedNet101(RedNetOfDepth):
    """RedNet-101, an image classifier of 25.65 M parameters.

    Args:
        num_classes: Integer, number of classes.
        **kwargs: Further arguments, as in `RedNet26`.

    Call arguments:
        inputs: Floating-point tensor, as returned by `preprocessor`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) channels first.

    Output shape:
        (B, num_classes).

    Returns:
        Tensor of logits, or the result of `activation`.

    Raises:
        TypeError, ValueError: As in `RedNet26`.

    Example:

    >>> from keras_involution import RedNet101
    >>> RedNet101(num_classes=10).output_shape
    (None, 10)

    Reference:
        Li et al., "Involution", CVPR 2021, https://arxiv.org/abs/2103.06255
    """

    depth = 101


@keras.saving.register_keras_serializable(package="keras_involution")
class RedNet152(RedNetOfDepth):
    """RedNet-152, an image classifier of 33.98 M parameters.

    Args:
        num_classes: Integer, number of classes.
        **kwargs: Further arguments, as in `RedNet26`.

    Call arguments:
        inputs: Floating-point tensor, as returned by `preprocessor`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) channels first.

    Output shape:
        (B, num_classes).

    Returns:
        Tensor of logits, or the result of `activation`.

    Raises:
        TypeError, ValueError: As in `RedNet26`.

    Example:

    >>> from keras_involution import RedNet152
    >>> RedNet152(num_classes=10).output_shape
    (None, 10)

    Reference:
        Li et al., "Involution", CVPR 2021, https://arxiv.org/abs/2103.06255
    """

    depth = 152
