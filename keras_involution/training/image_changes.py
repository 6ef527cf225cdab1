"""Random changes of the values of one image, in NumPy and Pillow on the host.

Each function takes a float32 image (H, W, 3) with values from 0 to 255 and a NumPy
generator. It returns an image of the same shape and dtype, whose values may be outside
this range.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from keras_involution import _arguments
from keras_involution._arguments import received

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
GRAY = np.array([0.299, 0.587, 0.114], "float32")


@dataclass(frozen=True)
class RandomApply:
    """Applies a change to an image with a probability.

    Args:
        change: Function of an image (H, W, 3) and a NumPy generator.
        rate: Float, the probability.

    Raises:
        ValueError: If `rate` is not between 0 and 1.

    Example:

    >>> import numpy as np
    >>> from keras_involution.training import RandomApply
    >>> invert = RandomApply(lambda image, random: 255 - image, rate=0.5)
    >>> invert(np.zeros((4, 4, 3), "float32"), np.random.default_rng(0)).shape
    (4, 4, 3)
    """

    change: Change
    rate: float

    def __post_init__(self) -> None:
        _arguments.rate(self.rate, "rate")

    def __call__(self, image: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return self.change(image, random) if random.random() < self.rate else image


@dataclass(frozen=True)
class RandomLight:
    """Changes brightness, contrast and each color by random relative amounts.

    The arguments are the largest amounts.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    color: float = 0.0

    def __call__(self, image: np.ndarray, random: np.random.Generator) -> np.ndarray:
        light = 1 + self.brightness * random.uniform(-1, 1)
        contrast = 1 + self.contrast * random.uniform(-1, 1)
        colors = 1 + self.color * random.uniform(-1, 1, 3)
        mean = image.mean()
        scaled = mean + (image - mean) * np.float32(contrast)
        return scaled * (light * colors).astype("float32")


def to_gray(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Converts the image to gray."""
    return np.repeat((image @ GRAY)[..., None], 3, axis=-1)


@dataclass(frozen=True)
class RandomErasing:
    """Fills a random rectangle of at most the fraction `area` with the mean color."""

    area: float = 0.1

    def __call__(self, image: np.ndarray, random: np.random.Generator) -> np.ndarray:
        area, ratio = random.uniform(0.02, 1) * self.area, 2 ** random.uniform(-1, 1)
        fractions = np.minimum(np.sqrt([area * ratio, area / ratio]), 1)
        sides = fractions * image.shape[:2]
        top, left = (random.uniform(0, 1, 2) * (image.shape[:2] - sides)).astype(int)
        height, width = np.maximum(sides.astype(int), 1)
        changed = image.copy()
        changed[top : top + height, left : left + width] = image.mean((0, 1))
        return changed


@dataclass(frozen=True)
class RandomBlur:
    """Applies a Gaussian blur with a standard deviation of at most `sigma` pixels."""

    sigma: float = 1.5

    def __call__(self, image: np.ndarray, random: np.random.Generator) -> np.ndarray:
        blur = ImageFilter.GaussianBlur(random.uniform(0.5, 1) * self.sigma)
        pixels = np.clip(image + 0.5, 0, 255).astype("uint8")
        return np.asarray(Image.fromarray(pixels).filter(blur), "float32")


@dataclass(frozen=True)
class RandomNoise:
    """Adds Gaussian noise with a standard deviation of at most `stddev`."""

    stddev: float = 7.0

    def __call__(self, image: np.ndarray, random: np.random.Generator) -> np.ndarray:
        stddev = np.float32(random.uniform(0, self.stddev))
        return image + stddev * random.standard_normal(image.shape, "float32")


@dataclass(frozen=True)
class RandomGridShuffle:
    """Cuts an image into `cells` x `cells` equal cells and shuffles them.

    Raises:
        ValueError: If `cells` does not divide the sides of the image.
    """

    cells: int = 2

    def __call__(self, image: np.ndarray, random: np.random.Generator) -> np.ndarray:
        count, (height, width, channels) = self.cells, image.shape
        if height % count or width % count:
            raise ValueError(
                "`cells` must divide both sides of an image. "
                + received(cells=count, height=height, width=width)
            )
        cells = image.reshape(count, height // count, count, width // count, channels)
        cells = cells.swapaxes(1, 2)
        shuffled = random.permutation(cells.reshape(count**2, *cells.shape[2:]))
        return shuffled.reshape(cells.shape).swapaxes(1, 2).reshape(image.shape)


@dataclass(frozen=True)
class RandomPosterization:
    """Reduces every value to a random number of bits, from `bits` to 8."""

    bits: int = 4

    def __call__(self, image: np.ndarray, random: np.random.Generator) -> np.ndarray:
        step = np.float32(2 ** (8 - random.integers(self.bits, 9)))
        return np.floor(image / step) * step


def add_snow(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Brightens pixels below a random level, to imitate snow."""
    dark = image.mean(-1, keepdims=True) < random.uniform(25, 75)
    return np.where(dark, 2.5 * image, image)


def add_rain(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Darkens the image slightly and draws light vertical streaks."""
    drops = random.random(image.shape[:2]) > 0.995
    streaks = np.zeros_like(drops)
    for shift in range(9):
        streaks[shift:] |= drops[: len(drops) - shift]
    weight = 0.6 * streaks[..., None].astype("float32")
    return 0.8 * image * (1 - weight) + 200 * weight
