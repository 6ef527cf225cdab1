"""Rotation, shift, shear and crop as one resampling."""

from __future__ import annotations

import math
from typing import Any

import keras

from keras_involution import _arguments
from keras_involution._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_involution")
class RandomAffine(keras.layers.Layer):
    """One affine map an image: with a probability it is rotated, shifted and sheared,
    and it always is a random crop, stretched back to the size of the image.

    `keras.layers` has each of them alone; one after the other they would resample, and
    blur, an image four times.

    Args:
        rotation: Float, largest angle in degrees.
        translation: Float, largest shift as a share of the sides.
        shear: Float, largest angle in degrees.
        rate: Float, probability of rotation, shift and shear.
        crop_area: Tuple of 2 floats, share of the area that a crop has.
        crop_ratio: Tuple of 2 floats, width by height of the crop over that of the
            image.
        fill_mode: String, what lies outside of an image: as for
            `keras.ops.image.affine_transform`.
        seed: Integer; `None` draws one.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Call arguments:
        inputs: Floating-point tensor, images.
        training: Boolean, whether anything is done at all.

    Input shape:
        (B, H, W, C)

    Output shape:
        (B, H, W, C)

    Returns:
        Tensor, images.

    Raises:
        ValueError: If `rate` is not between 0 and 1.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.random_affine import RandomAffine
    >>> layer = RandomAffine(rotation=10.0, seed=1)
    >>> tuple(layer(np.zeros((4, 16, 16, 3), "float32"), training=True).shape)
    (4, 16, 16, 3)

    Reference:
        `Affine` and `RandomResizedCrop` of albumentations.
    """

    def __init__(
        self,
        rotation: float = 15.0,
        translation: float = 0.25,
        shear: float = 3.0,
        rate: float = 0.5,
        crop_area: tuple[float, float] = (0.9, 1.0),
        crop_ratio: tuple[float, float] = (3 / 4, 4 / 3),
        fill_mode: str = "reflect",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rotation, self.translation, self.shear = rotation, translation, shear
        self.rate = _arguments.rate(rate, "rate")
        self.crop_area, self.crop_ratio = tuple(crop_area), tuple(crop_ratio)
        self.fill_mode = fill_mode
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not training:
            return inputs
        batch, height, width = keras.ops.shape(inputs)[:3]
        return keras.ops.image.affine_transform(
            inputs,
            self._maps(batch, height, width),
            interpolation="bilinear",
            fill_mode=self.fill_mode,
            data_format="channels_last",
        )

    def _maps(self, batch: Any, height: Any, width: Any) -> Tensor:
        """Where each position of the outputs lies in the inputs: (B, 8)."""
        ops = keras.ops
        draws = keras.random.uniform((10, batch), -1.0, 1.0, seed=self.generator)
        h, w = ops.cast(height, "float32"), ops.cast(width, "float32")
        chosen = ops.cast((draws[0] + 1.0) / 2.0 < self.rate, "float32")
        angle = chosen * draws[1] * math.radians(self.rotation)
        shear_x = chosen * ops.tan(draws[2] * math.radians(self.shear))
        shear_y = chosen * ops.tan(draws[3] * math.radians(self.shear))
        share_x, share_y = self._crop(draws[4], draws[5])
        shift_x = chosen * draws[6] * self.translation
        shift_y = chosen * draws[7] * self.translation
        # The crop keeps inside of the picture, as far as there is room.
        shift_x += draws[8] * (1.0 - share_x) / 2.0
        shift_y += draws[9] * (1.0 - share_y) / 2.0
        cos, sin = ops.cos(angle), ops.sin(angle)
        a0 = share_x * (cos - shear_x * sin)
        a1 = share_x * (shear_x * cos - sin)
        b0 = share_y * (sin + shear_y * cos)
        b1 = share_y * (cos - shear_y * sin)
        x, y = (w - 1.0) / 2.0, (h - 1.0) / 2.0
        a2 = x - a0 * x - a1 * y + shift_x * w
        b2 = y - b0 * x - b1 * y + shift_y * h
        zeros = ops.zeros_like(a0)
        return ops.stack([a0, a1, a2, b0, b1, b2, zeros, zeros], axis=1)

    def _crop(self, area: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of width and height, from two numbers of -1 to 1."""
        ops = keras.ops
        low, high = self.crop_area
        area = low + (high - low) * (area + 1.0) / 2.0
        low, high = (math.log(r) for r in self.crop_ratio)
        ratio = ops.exp(low + (high - low) * (ratio + 1.0) / 2.0)
        shares = ops.sqrt(area * ratio), ops.sqrt(area / ratio)
        return ops.minimum(shares[0], 1.0), ops.minimum(shares[1], 1.0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            rotation=self.rotation,
            translation=self.translation,
            shear=self.shear,
            rate=self.rate,
            crop_area=self.crop_area,
            crop_ratio=self.crop_ratio,
            fill_mode=self.fill_mode,
            seed=self.seed,
        )
        return config
