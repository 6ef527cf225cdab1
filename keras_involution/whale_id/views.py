"""Augmentation on the host: random views of one picture, in Pillow and NumPy.

On CPUs the maps of `keras.ops.image` cost more than a small network; here a view is a
third of a millisecond, and it is cut from the picture in one resampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from keras_involution import _arguments


@dataclass(frozen=True)
class ViewSettings:
    """What a random view may differ in from its picture.

    Attributes:
        flip: Whether half of the views are mirrored.
        rotation: Largest angle in degrees.
        translation: Largest shift as a share of the sides.
        shear: Largest angle in degrees.
        rate: Probability of rotation, shift and shear.
        area: Smallest share of the picture's area.
        ratio: Largest factor between the aspect ratios.
        light: Largest relative change of brightness and of contrast.
        colour: Largest relative change of each colour.
        gray: Probability of a view without colour.
        erased: Largest share of the area that is painted over.
        erase_rate: Probability of that.
    """

    flip: bool = True
    rotation: float = 0.0
    translation: float = 0.0
    shear: float = 0.0
    rate: float = 0.0
    area: float = 1.0
    ratio: float = 1.0
    light: float = 0.0
    colour: float = 0.0
    gray: float = 0.0
    erased: float = 0.0
    erase_rate: float = 0.0


VIEWS = {
    "none": ViewSettings(flip=False),
    "flip": ViewSettings(),
    "light": ViewSettings(
        rotation=15.0, translation=0.1, shear=5.0, rate=0.7,
        area=0.75, ratio=1.15, light=0.15, colour=0.05, gray=0.1,
    ),
    "strong": ViewSettings(
        rotation=20.0, translation=0.1, shear=8.0, rate=0.9,
        area=0.6, ratio=1.25, light=0.25, colour=0.1, gray=0.2,
        erased=0.15, erase_rate=0.3,
    ),
}  # fmt: skip


def random_view(
    image: np.ndarray,
    settings: ViewSettings | str,
    random: np.random.Generator,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """A random view of a picture; the same generator state gives the same view.

    Args:
        image: Bytes (H, W, 3).
        settings: `ViewSettings`, or a name in `VIEWS`.
        random: NumPy's generator.
        size: Height and width of the view; `None` keeps those of the picture.

    Returns:
        Bytes (*size, 3).

    Raises:
        ValueError: If there are no settings of that name.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.views import random_view
    >>> picture = np.zeros((40, 60, 3), "uint8")
    >>> random_view(picture, "strong", np.random.default_rng(0), (32, 32)).shape
    (32, 32, 3)
    """
    if isinstance(settings, str):
        settings = VIEWS[_arguments.one_of(settings, tuple(VIEWS), "settings")]
    size = size or image.shape[:2]
    view = _resampled(image, settings, random, size)
    return _painted(_relit(view, settings, random), settings, random)


def _resampled(
    image: np.ndarray,
    settings: ViewSettings,
    random: np.random.Generator,
    size: tuple[int, int],
) -> np.ndarray:
    matrix = _matrix(settings, random)
    # A mirrored border shows more of the animal, where zeros would show a frame.
    border = [side // 2 for side in image.shape[:2]]
    padded = np.pad(image, [(b, b) for b in border] + [(0, 0)], mode="reflect")
    scale = np.array([image.shape[1] / size[1], image.shape[0] / size[0]])
    steps = matrix * np.array(image.shape[1::-1])[:, None] / np.array(size[::-1])
    centre = np.array(image.shape[1::-1]) / 2 + border[::-1]
    centre += _shift(matrix, settings, random) * image.shape[1::-1]
    start = centre - steps @ (np.array(size[::-1]) / 2)
    picture = Image.fromarray(padded)
    if max(scale) > 2:  # Bilinear sampling would skip every other pixel.
        picture, start, steps = _shrunk(picture, start, steps, int(max(scale)))
    data = (steps[0, 0], steps[0, 1], start[0], steps[1, 0], steps[1, 1], start[1])
    view = picture.transform(
        size[::-1], Image.Transform.AFFINE, data, Image.Resampling.BILINEAR
    )
    return np.asarray(view)


def _shrunk(
    picture: Image.Image, start: np.ndarray, steps: np.ndarray, factor: int
) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    return picture.reduce(factor), start / factor, steps / factor


def _matrix(settings: ViewSettings, random: np.random.Generator) -> np.ndarray:
    """From a view to its picture, both of side one: 2 x 2."""
    changed = float(random.random() < settings.rate)
    draws = random.uniform(-1, 1, 5)
    angle = changed * draws[0] * math.radians(settings.rotation)
    shears = np.tan(changed * draws[1:3] * math.radians(settings.shear))
    area = 1 - (1 - settings.area) * (draws[3] + 1) / 2
    ratio = settings.ratio ** draws[4]
    shares = np.minimum(np.sqrt([area * ratio, area / ratio]), 1)
    cos, sin = math.cos(angle), math.sin(angle)
    turned = np.array([[cos, -sin], [sin, cos]])
    matrix = turned @ np.array([[1, shears[0]], [shears[1], 1]]) * shares
    if settings.flip and random.random() < 0.5:
        matrix[:, 0] *= -1
    return matrix


def _shift(
    matrix: np.ndarray, settings: ViewSettings, random: np.random.Generator
) -> np.ndarray:
    """Of the middle, as a share of the sides: room of the crop, and beyond it."""
    room = np.maximum(1 - np.linalg.norm(matrix, axis=0), 0) / 2
    shift = random.uniform(-1, 1, 2) * room
    moved = random.random() < settings.rate
    return shift + moved * random.uniform(-1, 1, 2) * settings.translation


def _relit(
    view: np.ndarray, settings: ViewSettings, random: np.random.Generator
) -> np.ndarray:
    light, contrast = 1 + settings.light * random.uniform(-1, 1, 2)
    colours = 1 + settings.colour * random.uniform(-1, 1, 3)
    gray = random.random() < settings.gray
    if not settings.light and not settings.colour and not gray:
        return view
    x = view.astype("float32")
    if gray:
        x = np.repeat(x @ np.array([[0.299], [0.587], [0.114]], "float32"), 3, axis=-1)
    mean = x.mean()
    x = (mean + (x - mean) * np.float32(contrast)) * np.float32(light * colours)
    return np.clip(x + 0.5, 0, 255).astype("uint8")


def _painted(
    view: np.ndarray, settings: ViewSettings, random: np.random.Generator
) -> np.ndarray:
    """One rectangle in the mean colour, sometimes."""
    area, where = random.uniform(0.02, 1) * settings.erased, random.uniform(0, 1, 2)
    ratio = 2 ** random.uniform(-1, 1)
    if random.random() >= settings.erase_rate:
        return view
    view = view.copy()
    sides = np.minimum(np.sqrt([area * ratio, area / ratio]), 1) * view.shape[:2]
    top, left = (where * (view.shape[:2] - sides)).astype(int)
    height, width = np.maximum(sides.astype(int), 1)
    mean = view.mean(axis=(0, 1)).astype("uint8")
    view[top : top + height, left : left + width] = mean
    return view
