"""Changes of whole batches.

MixUp and CutMix are here and not Keras's layers: that of MixUp warns of 64-bit numbers
on JAX, that of CutMix takes the area of a cut before it is rounded to pixels.
"""

from __future__ import annotations

import keras
import numpy as np

from keras_involution import _arguments


class Augmentation:
    """RandAugment, then MixUp or CutMix, of one batch, outside of the model.

    Every batch is changed by what its own seed draws, so a run that resumes sees what
    it would have seen. RandAugment is the layer of Keras, the others are NumPy.

    Args:
        rand_augment: Float from 0 to 1, strength of `keras.layers.RandAugment`; 0
            leaves it out. In Keras 3.15 a batch has the same two operations, and what
            they turn or move goes one way.
        mix_up: Float, `alpha` of the beta distribution of the shares; 0 leaves MixUp
            out.
        cut_mix: Float, the same for the areas of CutMix. With both, each batch has one
            of the two, by the throw of a coin.
        value_range: Tuple of 2 floats, smallest and largest value of a picture.

    Call arguments:
        images: Array (B, H, W, C), channels last.
        labels: One-hot labels (B, classes), floating point.
        seed: Integer.

    Returns:
        Images and labels as float32 NumPy arrays; labels of mixed pictures are mixed.

    Raises:
        ValueError: If a strength is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_involution.training import Augmentation
    >>> labels = np.eye(4, dtype="float32")
    >>> images, mixed = Augmentation(mix_up=0.2)(np.zeros((4, 8, 8, 3)), labels, seed=1)
    >>> mixed.sum(axis=1).round(3).tolist()
    [1.0, 1.0, 1.0, 1.0]
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
            layer = keras.layers.RandAugment(
                self.value_range,
                factor=self.rand_augment,
                seed=int(random.integers(2**31)),
                data_format="channels_last",
                dtype="float32",
            )
            images = keras.ops.convert_to_numpy(layer(images, training=True))
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
