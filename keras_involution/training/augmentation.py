"""Augmentation of training images, computed on the host from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_involution import _arguments
from keras_involution.training.image_changes import (
    Change,
    RandomApply,
    RandomBlur,
    RandomErasing,
    RandomGridShuffle,
    RandomLight,
    RandomNoise,
    RandomPosterization,
    add_rain,
    add_snow,
    to_gray,
)
from keras_involution.training.mixing import cut_mix, mix_up
from keras_involution.training.rand_augment import rand_augment
from keras_involution.training.views import RandomView


@dataclass(frozen=True)
class Augmentation:
    """Random augmentation, first of single images, then of whole batches.

    It uses only NumPy and Pillow and runs in threads and processes during training. The
    result depends only on the random generator, so a resumed run sees the same images
    as an uninterrupted run. `keras.layers.RandAugment` is not used because it draws
    once for a whole batch.

    Args:
        view: `RandomView`: crop, flip and affine transform of each image.
        changes: Tuple of functions of an image (H, W, 3) and a random generator, as in
            `training.image_changes`, applied to each view in order.
        rand_augment: Float from 0 to 1, a tenth of the magnitude of RandAugment in the
            paper; 0 disables it. Two of its fourteen operations are applied to each
            image, each in a random direction.
        mix_up: Float, `alpha` of the beta distribution of MixUp; 0 disables it.
        cut_mix: Float, `alpha` of CutMix; 0 disables it. If both are positive, each
            batch gets one of the two with equal probability.

    Raises:
        ValueError: If a number is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_involution.training import Augmentation
    >>> labels, random = np.eye(4, dtype="float32"), np.random.default_rng(1)
    >>> images, mixed = Augmentation(mix_up=0.2).batch(
    ...     np.zeros((4, 8, 8, 3)), labels, random)
    >>> mixed.sum(axis=1).round(3).tolist()
    [1.0, 1.0, 1.0, 1.0]

    Reference:
        Cubuk et al., "RandAugment: Practical Automated Data Augmentation with a
        Reduced Search Space", 2020.
    """

    view: RandomView = RandomView(flip=False)
    changes: tuple[Change, ...] = ()
    rand_augment: float = 0.0
    mix_up: float = 0.0
    cut_mix: float = 0.0

    def __post_init__(self) -> None:
        _arguments.rate(self.rand_augment, "rand_augment")
        _arguments.not_negative(self.mix_up, "mix_up")
        _arguments.not_negative(self.cut_mix, "cut_mix")

    def image(
        self,
        image: np.ndarray,
        random: np.random.Generator,
        size: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Applies the random view and the changes to one image.

        Args:
            image: uint8 array (H, W, 3).
            random: NumPy generator.
            size: Tuple of 2 integers, height and width of the view; `None` keeps the
                size of the image.

        Returns:
            uint8 array (*size, 3).
        """
        view = self.view(image, random, size)
        if not self.changes:
            return view
        x = view.astype("float32")
        for change in self.changes:
            x = np.clip(change(x, random), 0, 255)
        return (x + 0.5).astype("uint8")

    def batch(
        self, images: np.ndarray, labels: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Applies RandAugment, then MixUp or CutMix, to a batch.

        Args:
            images: Array (B, H, W, 3) with values from 0 to 255.
            labels: One-hot labels (B, classes).
            random: NumPy generator.

        Returns:
            Images and labels as float32 arrays; the labels of mixed images are mixed.
        """
        images, labels = np.asarray(images, "float32"), np.asarray(labels, "float32")
        if self.rand_augment:
            images = rand_augment(images, self.rand_augment, random)
        mixers = [
            (mix, alpha)
            for mix, alpha in ((mix_up, self.mix_up), (cut_mix, self.cut_mix))
            if alpha
        ]
        if not mixers:
            return images, labels
        mix, alpha = mixers[random.integers(len(mixers))]
        return mix(images, labels, alpha, random)


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "flip": Augmentation(RandomView()),
    "light": Augmentation(
        RandomView(
            area=(0.75, 1.0), ratio=1.15, rotation=15.0, translation=0.1, shear=5.0,
            rate=0.7,
        ),
        (RandomLight(0.15, 0.15, 0.05), RandomApply(to_gray, 0.1)),
    ),
    "strong": Augmentation(
        RandomView(
            area=(0.6, 1.0), ratio=1.25, rotation=20.0, translation=0.1, shear=8.0,
            rate=0.9,
        ),
        (
            RandomLight(0.25, 0.25, 0.1),
            RandomApply(to_gray, 0.2),
            RandomApply(RandomErasing(0.15), 0.3),
        ),
    ),
    # https://www.kaggle.com/c/happy-whale-and-dolphin/discussion/320192
    "happywhale": Augmentation(
        RandomView(
            area=(0.9, 1.0), ratio=4 / 3, rotation=15.0, translation=0.25, shear=3.0,
            rate=0.5,
        ),
        (
            RandomApply(to_gray, 0.1),
            RandomApply(RandomBlur(1.5), 0.05),
            RandomApply(RandomNoise(7.0), 0.05),
            RandomApply(RandomGridShuffle(2), 0.3),
            RandomApply(RandomPosterization(4), 0.2),
            RandomApply(RandomLight(brightness=0.2), 0.5),
            RandomApply(RandomLight(contrast=0.2), 0.5),
            RandomApply(RandomErasing(0.1), 0.05),
            RandomApply(add_snow, 0.1),
            RandomApply(add_rain, 0.05),
        ),
    ),
}  # fmt: skip
"""Augmentations by name. The last is the recipe of the winners of Happywhale."""
