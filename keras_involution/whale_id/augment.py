"""Augmentation on the device: the recipe that won Happywhale, from Keras layers.

The layers stand in front of the network while it is trained. Their random states are
variables like any other, so that a checkpoint holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_involution import _arguments
from keras_involution._typing import Shape, Tensor
from keras_involution.whale_id.random_affine import RandomAffine
from keras_involution.whale_id.random_changes import (
    RandomGridShuffle,
    RandomNoise,
    RandomRain,
    RandomSnow,
)

RECIPES = ("none", "flip", "light", "strong", "happywhale")


@keras.saving.register_keras_serializable(package="keras_involution")
class Sometimes(layers.Layer):
    """Applies a layer to each image with a probability.

    Args:
        layer: Layer from images to images of the same shape.
        rate: Float, the probability.
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

    >>> import keras, numpy as np
    >>> from keras_involution.whale_id.augment import Sometimes
    >>> gray = Sometimes(keras.layers.RandomGrayscale(1.0), rate=0.05)
    >>> tuple(gray(np.zeros((4, 16, 16, 3), "float32"), training=True).shape)
    (4, 16, 16, 3)

    Reference:
        The probabilities of an augmentation each, as albumentations has them.
    """

    def __init__(
        self, layer: layers.Layer, rate: float, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.layer, self.rate = layer, _arguments.rate(rate, "rate")
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Shape) -> None:
        self.layer.build(input_shape)
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not training:
            return inputs
        shape = (keras.ops.shape(inputs)[0], 1, 1, 1)
        chance = keras.random.uniform(shape, seed=self.generator)
        changed = keras.ops.cast(self.layer(inputs, training=True), inputs.dtype)
        return keras.ops.where(chance < self.rate, changed, inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        layer = keras.saving.serialize_keras_object(self.layer)
        return {
            **super().get_config(), "layer": layer, "rate": self.rate, "seed": self.seed
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sometimes:
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})


@keras.saving.register_keras_serializable(package="keras_involution")
class Augmentation(layers.Layer):
    """Changes images of values 0 to 255 while training, and leaves them otherwise.

    Args:
        recipe: `"none"`; `"flip"`; `"light"`: flip, one affine map and light;
            `"strong"`: more of it and erased patches; `"happywhale"`: the whole recipe
            of the winners.
        seed: Integer, from which every part gets a seed of its own.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Call arguments:
        inputs: Tensor, images of values 0 to 255.
        training: Boolean, whether anything is done at all.

    Input shape:
        (B, H, W, 3)

    Output shape:
        (B, H, W, 3)

    Returns:
        Floating-point tensor, images of values 0 to 255.

    Raises:
        ValueError: If the recipe is unknown.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.augment import Augmentation
    >>> augment = Augmentation("happywhale", seed=1)
    >>> tuple(augment(np.zeros((4, 16, 16, 3), "uint8"), training=True).shape)
    (4, 16, 16, 3)

    Reference:
        https://www.kaggle.com/c/happy-whale-and-dolphin/discussion/320192
    """

    def __init__(self, recipe: str = "light", seed: int = 0, **kwargs: Any) -> None:
        # Pictures of 0 to 255 lose their last bits in half precision.
        kwargs["dtype"] = kwargs.get("dtype") or "float32"
        super().__init__(**kwargs)
        self.recipe = _arguments.one_of(recipe, RECIPES, "recipe")
        self.seed = seed
        self.steps = list(_steps(recipe, seed))

    def build(self, input_shape: Shape) -> None:
        for step in self.steps:
            step.build(input_shape)
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = keras.ops.cast(inputs, self.compute_dtype)
        if not training:
            return x
        for step in self.steps:
            x = step(x, training=True)
        return keras.ops.clip(x, 0.0, 255.0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "recipe": self.recipe, "seed": self.seed}


def _steps(recipe: str, seed: int) -> Sequence[layers.Layer]:
    seeds = iter(range(1000 * seed + 1, 1000 * seed + 100))
    if recipe == "none":
        return ()
    # A seed and a data format of their own for all, no matter what is set globally.
    at = {"data_format": "channels_last"}
    flip = layers.RandomFlip("horizontal", seed=next(seeds), **at)
    if recipe == "flip":
        return (flip,)
    if recipe in ("light", "strong"):
        return (flip, *_short_recipe(recipe == "strong", seeds))
    return (flip, *_happywhale(seeds, at))


def _short_recipe(strong: bool, seeds: Any) -> Sequence[layers.Layer]:
    affine = RandomAffine(
        rotation=20.0 if strong else 15.0,
        translation=0.1,
        shear=8.0 if strong else 5.0,
        rate=0.9 if strong else 0.7,
        crop_area=(0.6, 1.0) if strong else (0.75, 1.0),
        seed=next(seeds),
    )
    light = 0.2 if strong else 0.15
    steps: list[layers.Layer] = [
        affine,
        layers.RandomBrightness(light, seed=next(seeds)),
        layers.RandomContrast(light, value_range=(0, 255), seed=next(seeds)),
    ]
    if strong:
        steps.append(_erasing(0.3, 0.15, next(seeds)))
    return steps


def _happywhale(seeds: Any, at: dict[str, Any]) -> Sequence[layers.Layer]:
    def sometimes(layer: layers.Layer, rate: float) -> Sometimes:
        return Sometimes(layer, rate, seed=next(seeds))

    blur = layers.RandomGaussianBlur(
        kernel_size=7, sigma=(0.5, 1.5), seed=next(seeds), **at
    )
    brightness = layers.RandomBrightness(0.2, seed=next(seeds))
    contrast = layers.RandomContrast(0.2, value_range=(0, 255), seed=next(seeds))
    posterize = layers.RandomPosterization(4, seed=next(seeds), **at)
    return (
        RandomAffine(
            rotation=15.0, translation=0.25, shear=3.0, rate=0.5, seed=next(seeds)
        ),
        layers.RandomGrayscale(0.1, seed=next(seeds), **at),
        sometimes(blur, 0.05),
        RandomNoise(7.0, rate=0.05, seed=next(seeds)),
        RandomGridShuffle(2, rate=0.3, seed=next(seeds)),
        sometimes(posterize, 0.2),
        sometimes(brightness, 0.5),
        sometimes(contrast, 0.5),
        _erasing(0.05, 0.1, next(seeds)),
        RandomSnow(rate=0.1, seed=next(seeds)),
        RandomRain(rate=0.05, seed=next(seeds)),
    )


def _erasing(rate: float, area: float, seed: int) -> Sometimes:
    patch = layers.RandomErasing(
        scale=(0.02, area), seed=seed, data_format="channels_last"
    )
    return Sometimes(patch, rate, seed=seed + 500)
