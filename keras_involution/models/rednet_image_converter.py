"""Preprocessing of images for a RedNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_involution import _arguments, _strict
from keras_involution._arguments import received
from keras_involution._typing import Tensor

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@keras.saving.register_keras_serializable(package="keras_involution")
class RedNetImageConverter(keras.layers.Resizing):
    """Prepares images for a RedNet: resizing, then `x * scale + offset` per channel.

    By default, the largest central crop with the aspect ratio of `image_size` is
    resized bilinearly. Integer images are rounded to integers after resizing, as in
    image libraries. The layer works before a model, in `tf.data` and in grain.

    Args:
        image_size: Tuple of 2 integers, height and width to resize to; `None` keeps the
            size.
        scale: Float or list of floats, one per channel; `None` is 1 / the standard
            deviation of ImageNet, for values from 0 to 255.
        offset: Float or list of floats; `None` is -mean / standard deviation of
            ImageNet.
        crop_to_aspect_ratio: Boolean; `False` stretches the whole image instead.
        pad_to_aspect_ratio: Boolean; `True` pads the whole image instead.
        interpolation: String, interpolation of `keras.layers.Resizing`.
        antialias: Boolean, whether to use antialiasing when shrinking.
        crop_fraction: Float in (0, 1]. The shorter side is resized to `image_size /
            crop_fraction`, then the central `image_size` is cropped. The published
            accuracies were measured with 0.875: resize to 256, crop 224 x 224. Below 1,
            the interpolation is bilinear, without antialiasing.
        data_format: `"channels_last"` or `"channels_first"`; `None` uses the global
            setting of Keras.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Call arguments:
        inputs: Integer or floating-point tensor with values from 0 to 255, or a list of
            images of different sizes.

    Input shape:
        (B, H, W, 3) or (H, W, 3); channels first (B, 3, H, W) or (3, H, W).

    Output shape:
        The same, with H and W replaced by `image_size`.

    Returns:
        Floating-point tensor; a list of images becomes one batch.

    Raises:
        ValueError: If both `crop_to_aspect_ratio` and `pad_to_aspect_ratio` are true,
            `image_size` is not two positive integers, or images of different sizes are
            passed without `image_size`.

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
        crop_fraction: float = 1.0,
        **kwargs: Any,
    ) -> None:
        _strict.check_constructor(self, kwargs)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError(
                "Only one of `crop_to_aspect_ratio` and `pad_to_aspect_ratio` can be "
                "true. " + received(crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)
            )
        size: tuple = (None, None)
        if image_size is not None:
            size = _arguments.spatial_tuple(image_size, 2, "image_size")
        # In half precision, pixel values would lose bits before the offset is added.
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
        self.crop_fraction = self._checked_fraction(crop_fraction)
        # The layer has no weights. If it were not built, Keras on JAX would run the
        # whole network eagerly at the start of every `predict` and `evaluate`.
        self.built = True
        self.scale = _plain(scale, [1 / s for s in IMAGENET_STD])
        self.offset = _plain(
            offset, [-m / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD)]
        )

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width that images are resized to, or `None`."""
        return None if self.height is None else (self.height, self.width)

    def __call__(self, inputs: Tensor, **kwargs: Any) -> Tensor:
        if isinstance(inputs, list | tuple):
            return _stack([self._prepared(each) for each in inputs])
        return self._prepared(inputs, **kwargs)

    def _prepared(self, inputs: Tensor, **kwargs: Any) -> Tensor:
        # `call` cannot check this: in `tf.data`, Keras converts its inputs to float.
        dtype = getattr(inputs, "dtype", "float32")
        integers = "int" in keras.backend.standardize_dtype(dtype)
        return super().__call__(inputs, **{"integers": integers, **kwargs})

    def call(self, inputs: Tensor, integers: bool = False) -> Tensor:
        x = self.backend.cast(inputs, self.compute_dtype)
        if self.crop_fraction < 1:
            x = self._central_crop(x)
        elif self.height is not None:
            x = super().call(x)
        if integers and self.height is not None:
            # As in image libraries. Keras itself rounds on PyTorch and JAX, truncates
            # on TensorFlow, and keeps the fraction in `tf.data`.
            x = self.backend.numpy.round(x)
        return x * self._per_channel(self.scale) + self._per_channel(self.offset)

    def _checked_fraction(self, fraction: float) -> float:
        fraction = _arguments.rate(fraction, "crop_fraction")
        plain = self.interpolation == "bilinear" and not self.antialias
        whole = self.height is not None and self.crop_to_aspect_ratio
        if fraction == 0 or (fraction < 1 and not (plain and whole)):
            raise ValueError(
                "`crop_fraction` must be above 0; below 1 it needs an `image_size`, "
                "`crop_to_aspect_ratio=True`, `interpolation='bilinear'` and "
                f"`antialias=False`. {received(crop_fraction=fraction)}"
            )
        return fraction

    def _central_crop(self, images: Tensor) -> Tensor:
        """Resizes and crops bilinearly; computes only the pixels of the crop.

        Otherwise, an image of 1 x 100,000 pixels would be resized to 256 x 25,600,000.
        """
        last = self.data_format == "channels_last"
        axes = (-3, -2) if last else (-2, -1)
        shape = self.backend.shape(images)
        places = self._source_places(shape[axes[0]], shape[axes[1]])
        for axis, (low, high, weight) in zip(axes, places):
            broadcast = (-1, *(1,) * (-axis - 1))
            weight = self.backend.numpy.reshape(weight, broadcast)
            low, high = (
                self.backend.numpy.take(images, place, axis=axis)
                for place in (low, high)
            )
            images = low + (high - low) * self.backend.cast(weight, self.compute_dtype)
        return images

    def _source_places(self, height: Any, width: Any) -> list[tuple[Any, Any, Any]]:
        """Returns the source pixels of the rows and of the columns of the crop.

        Args:
            height: Height of the image: an integer, or in `tf.data` possibly a tensor.
            width: Width of the image, likewise.

        Returns:
            For rows and columns: two arrays of indices to interpolate between, and the
            weights of the second.
        """
        static = isinstance(height, int) and isinstance(width, int)
        xp = np if static else self.backend.numpy
        cast = np.asarray if static else self.backend.cast
        # The functions of Keras return float32 in a graph.
        kind = "float64" if static else "float32"
        sizes = [cast(size, kind) for size in (height, width)]
        sides = (self.height, self.width)
        targets = [round(side / self.crop_fraction) for side in sides]
        scale = xp.maximum(*(t / size for t, size in zip(targets, sizes)))
        places = []
        for size, side in zip(sizes, sides):
            resized = xp.round(size * scale)
            begin = xp.floor((resized - side) / 2)
            steps = cast(xp.arange(side), kind)
            place = (steps + begin + 0.5) * (size / resized) - 0.5
            place = xp.clip(place, 0.0, size - 1)
            low = xp.floor(place)
            high = xp.minimum(low + 1, size - 1)
            places.append((cast(low, "int32"), cast(high, "int32"), place - low))
        return places

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
        config.update(
            image_size=self.image_size,
            scale=self.scale,
            offset=self.offset,
            crop_fraction=self.crop_fraction,
        )
        return config


def _plain(
    value: float | Sequence[float] | None, default: list[float]
) -> float | list[float]:
    if value is None:
        return default
    array = np.asarray(value, "float64")
    return [float(v) for v in array] if array.ndim else float(array)


def _stack(prepared: list[Tensor]) -> Tensor:
    if not prepared:
        raise ValueError(f"The list has no images. {received(inputs=prepared)}")
    shapes = {tuple(image.shape) for image in prepared}
    if len(shapes) != 1:
        raise ValueError(
            "Images of different sizes can only be stacked if `image_size` is set. "
            + received(shapes=sorted(shapes))
        )
    return keras.ops.stack(prepared)
