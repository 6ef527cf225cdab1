"""Changes of whole batches.

They are here and not Keras's layers: that of RandAugment draws once for a whole batch
and moves one way only, that of MixUp warns of 64-bit numbers on JAX, and that of CutMix
takes the area of a cut before it is rounded to pixels.
"""

from __future__ import annotations

import numpy as np

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.training.picture_operations import OPERATIONS


class Augmentation:
    """RandAugment, then MixUp or CutMix, of one batch, outside of the model.

    Every batch is changed by what its own seed draws, so a run that resumes sees what
    it would have seen. All of it is NumPy, for threads beside the training.

    Args:
        rand_augment: Float from 0 to 1, a tenth of the published magnitude; 0 leaves
            RandAugment out. Each picture has two of its fourteen operations, each in a
            direction of its own.
        mix_up: Float, `alpha` of the beta distribution of the shares; 0 leaves MixUp
            out.
        cut_mix: Float, the same for the areas of CutMix. With both, each batch has one
            of the two, by the throw of a coin.
        value_range: Tuple of 2 floats, smallest and largest value of a picture.

    Call arguments:
        images: Array (B, H, W, C), channels last; of 3 channels for RandAugment.
        labels: One-hot labels (B, classes), floating point.
        seed: Integer.

    Returns:
        Images and labels as float32 NumPy arrays; labels of mixed pictures are mixed.

    Raises:
        ValueError: If a strength is out of its range, or RandAugment is to change
            pictures that are not of 3 channels.

    Example:

    >>> import numpy as np
    >>> from keras_involution.training import Augmentation
    >>> labels = np.eye(4, dtype="float32")
    >>> images, mixed = Augmentation(mix_up=0.2)(np.zeros((4, 8, 8, 3)), labels, seed=1)
    >>> mixed.sum(axis=1).round(3).tolist()
    [1.0, 1.0, 1.0, 1.0]

    Reference:
        Cubuk et al., "RandAugment: Practical Automated Data Augmentation with a
        Reduced Search Space", 2020.
    """

    def __init__(
        self,
        rand_augment: float = 0.0,
        mix_up: float = 0.0,
        cut_mix: float = 0.0,
        value_range: tuple[float, float] = (0, 255),
    ) -> None:
        self.rand_augment = _arguments.rate(rand_augment, "rand_augment")
        self.mix_up = _arguments.not_negative(mix_up, "mix_up")
        self.cut_mix = _arguments.not_negative(cut_mix, "cut_mix")
        self.value_range = value_range

    def __call__(
        self, images: np.ndarray, labels: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(seed)
        images, labels = np.asarray(images, "float32"), np.asarray(labels, "float32")
        if self.rand_augment:
            low, high = self.value_range
            factor = np.float32(255 / (high - low))
            images = rand_augment((images - low) * factor, self.rand_augment, random)
            images = images / factor + low
        mixers = [
            mix
            for mix, strength in ((mix_up, self.mix_up), (cut_mix, self.cut_mix))
            if strength
        ]
        if not mixers:
            return images, labels
        mix = mixers[random.integers(len(mixers))]
        return mix(
            images, labels, self.mix_up if mix is mix_up else self.cut_mix, random
        )


def rand_augment(
    images: np.ndarray, strength: float, random: np.random.Generator, count: int = 2
) -> np.ndarray:
    """A few operations one after the other, drawn for every picture by itself.

    Args:
        images: float32 (B, H, W, 3), values 0 to 255.
        strength: Float from 0 to 1, of every operation; its sign is drawn.
        random: Generator.
        count: Integer, operations of a picture.

    Returns:
        float32 (B, H, W, 3), values 0 to 255.
    """
    if images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(
            "Pictures must be (B, H, W, 3), channels last. "
            + received(shape=images.shape)
        )
    # Tables are looked up by values.
    images = np.clip(images, 0, 255)
    for _ in range(count):
        drawn = random.integers(len(OPERATIONS), size=len(images))
        signed = strength * random.choice((-1.0, 1.0), len(images))
        for number, operation in enumerate(OPERATIONS):
            [rows] = np.nonzero(drawn == number)
            if len(rows):
                images[rows] = operation(images[rows], signed[rows])
    return images


def mix_up(
    images: np.ndarray, labels: np.ndarray, alpha: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Every picture and its label with a share of another's, drawn from a beta."""
    order = random.permutation(len(images))
    share = random.beta(alpha, alpha, len(images)).astype("float32")
    pixels, share = share[:, None, None, None], share[:, None]
    return (
        pixels * images + (1 - pixels) * images[order],
        share * labels + (1 - share) * labels[order],
    )


def cut_mix(
    images: np.ndarray, labels: np.ndarray, alpha: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A rectangle of every picture from another; labels by the area in whole pixels."""
    count, height, width = images.shape[:3]
    order = random.permutation(count)
    side = np.sqrt(random.beta(alpha, alpha, count))
    rows = _stretch(height, side, random)
    columns = _stretch(width, side, random)
    cut = rows[:, :, None] & columns[:, None, :]
    share = cut.mean((1, 2), dtype="float32")[:, None]
    return (
        np.where(cut[..., None], images[order], images),
        (1 - share) * labels + share * labels[order],
    )


def _stretch(length: int, share: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Which of the pixels lie in a stretch of a share of them: (B, length)."""
    pixels = np.rint(share * length).astype("int64")
    start = np.floor(random.uniform(0, 1, len(share)) * (length - pixels + 1))
    places = np.arange(length) - start[:, None]
    return (places >= 0) & (places < pixels[:, None])
