"""Random views: crop, flip, rotation, shift and shear in one resampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from keras_involution import _arguments

_BILINEAR = Image.Resampling.BILINEAR


@dataclass(frozen=True)
class RandomView:
    """A random view of an image: crop, flip, rotation, shift and shear.

    On CPUs, the geometric layers of Keras take more time than a small network. This
    class uses Pillow and needs a third of a millisecond per view. It can run in threads
    during training.

    Args:
        flip: Boolean, whether to mirror half of the views.
        area: Tuple of 2 floats, smallest and largest fraction of the image area in a
            view.
        ratio: Float, largest ratio between the aspect ratios of view and image.
        rotation: Float, largest angle in degrees.
        translation: Float, largest shift as a fraction of the sides.
        shear: Float, largest angle in degrees.
        rate: Float, probability of rotation, shift and shear.

    Call arguments:
        image: uint8 array (H, W, 3).
        random: NumPy generator; the same state gives the same view.
        size: Tuple of 2 integers, height and width of the view; `None` keeps the size
            of the image.

    Returns:
        uint8 array (H, W, 3) of that size.

    Raises:
        ValueError: If a number is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_involution.training import RandomView
    >>> view = RandomView(area=(0.5, 1.0), rotation=15.0, rate=0.7)
    >>> view(np.zeros((40, 60, 3), "uint8"), np.random.default_rng(0), (32, 32)).shape
    (32, 32, 3)
    """

    flip: bool = True
    area: tuple[float, float] = (1.0, 1.0)
    ratio: float = 1.0
    rotation: float = 0.0
    translation: float = 0.0
    shear: float = 0.0
    rate: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.area
        if not 0 < low <= high <= 1:
            raise ValueError(
                "`area` must be two fractions in ascending order. "
                + _arguments.received(area=self.area)
            )
        if not self.ratio >= 1:
            raise ValueError(
                f"`ratio` must be at least 1. {_arguments.received(ratio=self.ratio)}"
            )
        for name in ("rotation", "translation", "shear"):
            _arguments.not_negative(getattr(self, name), name)
        _arguments.rate(self.rate, "rate")

    @property
    def keeps_image(self) -> bool:
        """Whether views equal the image, up to resizing."""
        return self == RandomView(flip=False)

    def __call__(
        self,
        image: np.ndarray,
        random: np.random.Generator,
        size: tuple[int, int] | None = None,
    ) -> np.ndarray:
        size = size or image.shape[:2]
        crop = self._crop(random)
        offset = random.uniform(-0.5, 0.5, 2) * (1 - crop)
        mirrored = self.flip and random.random() < 0.5
        if self.rate and random.random() < self.rate:
            matrix = self._matrix(random) * crop
            offset += random.uniform(-1, 1, 2) * self.translation
            view = _transformed(image, matrix, offset, size)
        else:
            view = _cropped(image, crop, offset, size)
        return view[:, ::-1] if mirrored else view

    def _crop(self, random: np.random.Generator) -> np.ndarray:
        """Draws width and height of a crop, as fractions of those of the image."""
        area, ratio = random.uniform(*self.area), self.ratio ** random.uniform(-1, 1)
        return np.minimum(np.sqrt([area * ratio, area / ratio]), 1)

    def _matrix(self, random: np.random.Generator) -> np.ndarray:
        """Draws a 2x2 matrix of rotation and shear, for coordinates from 0 to 1."""
        angle = math.radians(self.rotation) * random.uniform(-1, 1)
        shears = np.tan(math.radians(self.shear) * random.uniform(-1, 1, 2))
        cos, sin = math.cos(angle), math.sin(angle)
        return np.array([[cos, -sin], [sin, cos]]) @ [[1, shears[0]], [shears[1], 1]]


def _cropped(
    image: np.ndarray, crop: np.ndarray, offset: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    sides = np.array(image.shape[1::-1])
    left, top = (0.5 + offset - crop / 2) * sides
    right, bottom = np.minimum((left, top) + crop * sides, sides)
    box = (max(left, 0.0), max(top, 0.0), right, bottom)
    return np.asarray(Image.fromarray(image).resize(size[::-1], _BILINEAR, box))


def _transformed(
    image: np.ndarray, matrix: np.ndarray, offset: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    # Pad by reflection, because zeros would add artificial edges.
    border = [side // 2 for side in image.shape[:2]]
    padded = np.pad(image, [(b, b) for b in border] + [(0, 0)], mode="reflect")
    sides = np.array(image.shape[1::-1])
    steps = matrix * sides[:, None] / np.array(size[::-1])
    center = (0.5 + offset) * sides + border[::-1]
    start = center - steps @ (np.array(size[::-1]) / 2)
    source = Image.fromarray(padded)
    scale = max(sides / size[::-1])
    if scale > 2:  # Bilinear sampling would skip every other pixel.
        source = source.reduce(int(scale))
        start, steps = start / int(scale), steps / int(scale)
    data = (steps[0, 0], steps[0, 1], start[0], steps[1, 0], steps[1, 1], start[1])
    view = source.transform(size[::-1], Image.Transform.AFFINE, data, _BILINEAR)
    return np.asarray(view)
