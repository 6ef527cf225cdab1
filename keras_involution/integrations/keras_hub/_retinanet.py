"""RetinaNet of keras-hub with the involution neck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras_hub.models import (
    FeaturePyramidBackbone,
    RetinaNetBackbone,
    RetinaNetObjectDetector,
)

from keras_involution._arguments import received
from keras_involution.models import InvolutionFeaturePyramid


@keras.saving.register_keras_serializable(package="keras_involution")
class InvolutionRetinaNetBackbone(RetinaNetBackbone):
    """keras-hub's `RetinaNetBackbone` with an `InvolutionFeaturePyramid` as its neck.

    Args:
        image_encoder: Model with `pyramid_outputs`, such as `RedNetBackbone`.
        min_level: Integer, the finest level.
        max_level: Integer, the coarsest level.
        use_p5: Boolean, whether the first level above the encoder is computed from the
            last feature map of the encoder, as published, or from that of the neck.
        kernel_size: Odd integer, window of the involutions.
        group_channels: Integer, channels that share a kernel.
        image_shape: Tuple of 3, the shape of an image.
        data_format: `"channels_last"` or `"channels_first"`; `None` uses that of the
            encoder, or the global setting of Keras.
        dtype: dtype or `keras.DTypePolicy` of the neck.
        **kwargs: `name` and `trainable`.

    Call arguments:
        inputs: Floating-point tensor, prepared for the encoder.
        training: Boolean, whether batch normalization uses the statistics of the batch.

    Input shape:
        (B, H, W, 3), or (B, 3, H, W) channels first.

    Output shape:
        Dictionary from `min_level` to `max_level` of (B, H', W', 256), or
        (B, 256, H', W').

    Returns:
        Dictionary of tensors, for example "P3" to "P7".

    Raises:
        ValueError: If the encoder lacks a level, or a size does not fit.

    Example:

    ```python
    import keras_hub
    from keras_involution.integrations import keras_hub as rednet

    backbone = rednet.InvolutionRetinaNetBackbone(
        rednet.RedNetBackbone.from_depth(50), min_level=3, max_level=7
    )
    detector = rednet.InvolutionRetinaNetObjectDetector(
        backbone, num_classes=2, bounding_box_format="xyxy"
    )
    ```

    Reference:
        Li et al., "Involution: Inverting the Inherence of Convolution for Visual
        Recognition", CVPR 2021, https://arxiv.org/abs/2103.06255
    """

    def __init__(
        self,
        image_encoder: keras.Model,
        min_level: int = 3,
        max_level: int = 7,
        use_p5: bool = True,
        kernel_size: int = 7,
        group_channels: int = 16,
        image_shape: Sequence[int | None] = (None, None, 3),
        data_format: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        outputs = dict(getattr(image_encoder, "pyramid_outputs", {}))
        if f"P{min_level}" not in outputs:
            raise ValueError(
                "The encoder must have `pyramid_outputs` from `min_level` on. "
                + received(min_level=min_level, pyramid_outputs=sorted(outputs))
            )

        # === Layers ===
        feature_pyramid = InvolutionFeaturePyramid(
            min_level,
            max_level,
            use_p5=use_p5,
            kernel_size=kernel_size,
            group_channels=group_channels,
            data_format=data_format or getattr(image_encoder, "data_format", None),
            dtype=dtype,
            name="fpn",
        )
        maps = {
            level: tensor
            for level, tensor in outputs.items()
            if min_level <= int(level[1:]) <= max_level
        }
        encoder = keras.Model(image_encoder.input, maps, name="backbone")

        # === Functional model ===
        image_input = keras.layers.Input(tuple(image_shape), name="inputs")
        pyramid_outputs = feature_pyramid(encoder(image_input))
        # Skips `RetinaNetBackbone.__init__`, which would build a neck of convolutions.
        FeaturePyramidBackbone.__init__(
            self, inputs=image_input, outputs=pyramid_outputs, dtype=dtype, **kwargs
        )

        # === Config ===
        self.min_level = min_level
        self.max_level = max_level
        self.use_p5 = use_p5
        self.use_fpn_batch_norm = False
        self.kernel_size = kernel_size
        self.group_channels = group_channels
        self.image_encoder = image_encoder
        self.feature_pyramid = feature_pyramid
        self.image_shape = tuple(image_shape)
        self.pyramid_outputs = pyramid_outputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["use_fpn_batch_norm"]
        return config | {
            "kernel_size": self.kernel_size,
            "group_channels": self.group_channels,
            "data_format": self.feature_pyramid.data_format,
        }


@keras.saving.register_keras_serializable(package="keras_involution")
class InvolutionRetinaNetObjectDetector(RetinaNetObjectDetector):
    """keras-hub's `RetinaNetObjectDetector` for an `InvolutionRetinaNetBackbone`.

    It is a separate class because keras-hub finds the detector of a preset by the class
    of its backbone.
    """

    backbone_cls = InvolutionRetinaNetBackbone
