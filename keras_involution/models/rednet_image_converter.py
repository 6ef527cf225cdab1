"""Pictures to network inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._typing import Tensor

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@keras.saving.register_keras_serializable(package="keras_involution")
class RedNetImageConverter(keras.layers.Resizing):
    """Prepares pictures for a RedNet: resizes, then `x * scale + offset` per channel.

    The larger part of a picture with the target's aspect ratio is cut out of its
    middle and resized bilinearly. Integer pictures are resized to integers, as image
    libraries do. The layer works in front of a model, in `tf.data` and in grain.

    Args:
        image_size: Tuple of 2 integers, height and width to resize to; `None` leaves
            the size as it is.
        scale: Float or list of floats, one a channel; `None` is 1 / the standard
            deviation of ImageNet, for values of 0 to 255.
        offset: Float or list of floats; `None` is -mean / standard deviation of
            ImageNet.
        crop_to_aspect_ratio: Boolean; `False` stretches the whole picture instead.
        pad_to_aspect_ratio: Boolean; `True` keeps the whole picture and pads it.
        interpolation: String, how `keras.layers.Resizing` interpolates.
        antialias: Boolean, whether to smooth before shrinking.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's
            global setting.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Call arguments:
        inputs: Tensor of values 0 to 255, integer or floating point, or a list of
            pictures of different sizes.

    Input shape:
        (B, H, W, 3) or (H, W, 3); channels first (B, 3, H, W) or (3, H, W).

    Output shape:
        The same with `image_size` in place of H and W.

    Returns:
        Floating-point tensor; a list of pictures comes back as one batch.

    Raises:
        ValueError: If both ways to keep the aspect ratio are chosen, `image_size` is
            not two positive integers, or pictures of a list differ in size and there
            is no `image_size`.

    Example:

    >>> import numpy as np
    >>> from keras_involution import RedNetImageConverter
    >>> converter = RedNetImageConverter((224, 224), data_format="channels_last")
    >>> tuple(converter(np.zeros((2, 300, 400, 3), "uint8")).shape)
    (2, 224, 224, 3)

    Reference:
        The mean and deviation are those of the published RedNet configuration,
        https://github.com/d-li14/involution
    """

    def __init__(
        self,
        image_size: Sequence[int] | None = None,
        scale: float | Sequence[float] | None = None,
        offset: float | Sequence[float] | None = None,
        crop_to_aspect_ratio: bool = True,
        pad_to_aspect_ratio: bool = False,
        interpolation: str = "bilinear",
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError(
                "Choose one of `crop_to_aspect_ratio` and `pad_to_aspect_ratio`. "
                + received(crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)
            )
        size: tuple = (None, None)
        if image_size is not None:
            size = _arguments.spatial_tuple(image_size, 2, "image_size")
        # Half-precision inputs would cost the pictures their last bits before the sum.
        kwargs["dtype"] = kwargs.get("dtype") or "float32"
        super().__init__(
            *size,
            interpolation=interpolation,
            crop_to_aspect_ratio=crop_to_aspect_ratio,
            pad_to_aspect_ratio=pad_to_aspect_ratio,
            antialias=antialias,
            data_format=_arguments.standard_data_format(data_format),
            **kwargs,
        )
        # It has no weights. Unbuilt, it would make Keras on JAX run the whole network
        # eagerly, layer by layer, at the start of every `predict` and `evaluate`.
        self.built = True
        self.scale = _plain(scale, [1 / s for s in IMAGENET_STD])
        self.offset = _plain(
            offset, [-m / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD)]
        )

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width that pictures are resized to, or `None`."""
        return None if self.height is None else (self.height, self.width)

    def __call__(self, inputs: Tensor, **kwargs: Any) -> Tensor:
        if isinstance(inputs, list | tuple):
            prepared = [super(RedNetImageConverter, self).__call__(i) for i in inputs]
            return _stack(prepared)
        return super().__call__(inputs, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        x = inputs if self.height is None else super().call(inputs)
        x = self.backend.cast(x, self.compute_dtype)
        return x * self._per_channel(self.scale) + self._per_channel(self.offset)

    def _per_channel(self, values: float | list[float]) -> Tensor:
        x = self.backend.convert_to_tensor(values, dtype=self.compute_dtype)
        if isinstance(values, list) and self.data_format == "channels_first":
            x = self.backend.numpy.reshape(x, (-1, 1, 1))
        return x

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        if self.height is None:
            return tuple(input_shape)
        return super().compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["height"], config["width"]
        for key in ("fill_mode", "fill_value"):
            del config[key]
        config.update(image_size=self.image_size, scale=self.scale, offset=self.offset)
        return config


def _plain(
    value: float | Sequence[float] | None, default: list[float]
) -> float | list[float]:
    if value is None:
        return default
    return [float(v) for v in value] if isinstance(value, Sequence) else float(value)


def _stack(prepared: list[Tensor]) -> Tensor:
    shapes = {tuple(image.shape) for image in prepared}
    if len(shapes) != 1:
        raise ValueError(
            "Pictures of different sizes need an `image_size` to become one batch. "
            + received(shapes=sorted(shapes))
        )
    return keras.ops.stack(prepared)
