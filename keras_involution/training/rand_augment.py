"""RandAugment on batches: two of fourteen operations for each image.

An operation takes float32 images (B, H, W, 3) with values from 0 to 255 and strengths
(B,) from -1 to 1, and returns images of the same kind. The sign of a strength is the
direction of the operation, if it has one. The full strength is that of AutoAugment: a
rotation of 30 degrees, a shear of 0.3, a shift of 0.45 of the side, a factor of 0.1 or
1.9, 4 bits, or an inversion of all values.

References: Cubuk et al., "AutoAugment: Learning Augmentation Strategies from Data",
2019, table 6; Cubuk et al., "RandAugment: Practical Automated Data Augmentation with a
Reduced Search Space", 2020.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_involution._arguments import received

DEGREES, SHEAR, SHIFT, FACTOR, BITS = 30.0, 0.3, 0.45, 0.9, 4
"""Effects at full strength. The shift is a fraction of the side; `BITS` are removed."""
OUTSIDE = 128.0
"""Value of pixels from outside the image."""
GRAY = np.array([0.299, 0.587, 0.114], "float32")

Operation = Callable[[np.ndarray, np.ndarray], np.ndarray]


def rand_augment(
    images: np.ndarray, strength: float, random: np.random.Generator, count: int = 2
) -> np.ndarray:
    """Applies `count` random operations to each image, one after the other.

    Args:
        images: float32 array (B, H, W, 3) with values from 0 to 255.
        strength: Float from 0 to 1, strength of every operation; its sign is random.
        random: NumPy generator.
        count: Integer, operations per image.

    Returns:
        float32 array (B, H, W, 3) with values from 0 to 255.
    """
    if images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(
            "Images must be (B, H, W, 3), channels last. "
            + received(shape=images.shape)
        )
    # `equalize` uses values as indices of a table.
    images = np.clip(images, 0, 255)
    for _ in range(count):
        drawn = random.integers(len(OPERATIONS), size=len(images))
        signed = strength * random.choice((-1.0, 1.0), len(images))
        for number, operation in enumerate(OPERATIONS):
            [rows] = np.nonzero(drawn == number)
            if len(rows):
                images[rows] = operation(images[rows], signed[rows])
    return images


def identity(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Returns the images unchanged."""
    return images


def auto_contrast(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Stretches every channel to the range from 0 to 255."""
    # Reducing one axis at a time is several times faster than both at once.
    low = images.min(1).min(1)[:, None, None]
    spread = images.max(1).max(1)[:, None, None] - low
    flat = spread == 0
    stretched = (images - low) * (255 / np.where(flat, 255, spread))
    return _within(np.where(flat, images, stretched))


def equalize(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Rounds the values of every channel and equalizes their histogram."""
    shape = (len(images), 1, 1, images.shape[-1])
    planes = np.arange(shape[0] * shape[-1], dtype="int32").reshape(shape)
    places = np.rint(images).astype("int32") + 256 * planes
    frequencies = np.bincount(places.ravel(), minlength=256 * planes.size)
    frequencies = frequencies.reshape(-1, 256)
    below = frequencies.cumsum(-1) - frequencies
    # As in Pillow, the pixels of the lightest value do not count for the step.
    last = 255 - (frequencies[:, ::-1] > 0).argmax(-1)
    step = below[np.arange(len(last)), last, None] // 255
    levels = np.minimum((below + step // 2) // np.maximum(step, 1), 255)
    table = np.where(step > 0, levels, np.arange(256)).astype("float32")
    return table.ravel()[places]


def solarize(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Inverts values at or above a threshold."""
    threshold = _each(256 * (1 - np.abs(strengths)))
    return np.where(images < threshold, images, 255 - images)


def posterize(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Rounds the values and reduces their number of bits."""
    steps = _each(2 ** np.rint(BITS * np.abs(strengths)))
    return np.floor(np.rint(images) / steps) * steps


def color(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Changes the saturation."""
    return _blended(_gray(images), images, strengths)


def contrast(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Changes the contrast around the mean gray value."""
    center = _gray(images).mean((1, 2), keepdims=True)
    return _blended(center, images, strengths)


def brightness(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Changes the brightness."""
    return _blended(np.float32(0), images, strengths)


def sharpness(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Sharpens or smooths: the smooth image is a 3x3 mean with a center weight of 5."""
    inner = images[:, 1:-1, 1:-1]
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    smooth = images.copy()
    smooth[:, 1:-1, 1:-1] = (total + 4 * inner) / 13
    return _blended(smooth, images, strengths)


def rotate(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Rotates about the center, counterclockwise if the strength is positive."""
    angles, ones = np.deg2rad(DEGREES * strengths), np.ones_like(strengths)
    cosine, sine = np.cos(angles), np.sin(angles)
    y, x = (side / 2 * ones for side in images.shape[1:3])
    across = [cosine, -sine, x - cosine * x + sine * y]
    down = [sine, cosine, y - sine * x - cosine * y]
    return _sampled(images, across, down)


def shear_x(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Shears horizontally: a positive strength moves the lower edge to the left."""
    zeros, ones = np.zeros_like(strengths), np.ones_like(strengths)
    return _sampled(images, [ones, SHEAR * strengths, zeros], [zeros, ones, zeros])


def shear_y(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Shears vertically: a positive strength moves the right edge up."""
    zeros, ones = np.zeros_like(strengths), np.ones_like(strengths)
    return _sampled(images, [ones, zeros, zeros], [SHEAR * strengths, ones, zeros])


def translate_x(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Shifts horizontally, to the left if the strength is positive."""
    zeros, ones = np.zeros_like(strengths), np.ones_like(strengths)
    shift = SHIFT * images.shape[2] * strengths
    return _sampled(images, [ones, zeros, shift], [zeros, ones, zeros])


def translate_y(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Shifts vertically, up if the strength is positive."""
    zeros, ones = np.zeros_like(strengths), np.ones_like(strengths)
    shift = SHIFT * images.shape[1] * strengths
    return _sampled(images, [ones, zeros, zeros], [zeros, ones, shift])


OPERATIONS: tuple[Operation, ...] = (
    identity, auto_contrast, equalize, rotate, solarize, color, posterize, contrast,
    brightness, sharpness, shear_x, shear_y, translate_x, translate_y,
)  # fmt: skip


def _sampled(
    images: np.ndarray, across: list[np.ndarray], down: list[np.ndarray]
) -> np.ndarray:
    """Applies an affine transform to images, with bilinear sampling.

    The output at the pixel center (x, y) is the input at `a x + b y + c`, with
    `(a, b, c) = across` for the horizontal and `down` for the vertical coordinate.
    Pixels from outside the image have the value `OUTSIDE`.

    Args:
        images: float32 array (B, H, W, 3).
        across: List of 3 arrays (B,), coefficients of the horizontal coordinate.
        down: List of 3 arrays (B,), coefficients of the vertical coordinate.

    Returns:
        float32 array (B, H, W, 3).
    """
    count, height, width, channels = images.shape
    y, x = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    a, b, c = (numbers[:, None, None] for numbers in across)
    left, right, x_weight, x_inside = _neighbors(a * x + b * y + c, width)
    a, b, c = (numbers[:, None, None] for numbers in down)
    upper, lower, y_weight, y_inside = _neighbors(a * x + b * y + c, height)
    pixels = images.reshape(-1, channels)
    first = np.arange(count)[:, None, None] * (height * width)
    upper, lower = first + upper * width, first + lower * width
    top, bottom = (
        pixels[row + left] * (1 - x_weight) + pixels[row + right] * x_weight
        for row in (upper, lower)
    )
    found = _within(top * (1 - y_weight) + bottom * y_weight)
    return np.where((x_inside & y_inside)[..., None], found, np.float32(OUTSIDE))


def _neighbors(places: np.ndarray, pixels: int) -> tuple[np.ndarray, ...]:
    """Returns the two nearest pixels, the weight of the second, and if it is inside."""
    before = np.floor(places - 0.5)
    weight = (places - 0.5 - before).astype("float32")[..., None]
    before = before.astype("int64")
    inside = (places >= 0) & (places < pixels)
    first, last = (np.clip(before + i, 0, pixels - 1) for i in (0, 1))
    return first, last, weight, inside


def _blended(
    other: np.ndarray | np.float32, images: np.ndarray, strengths: np.ndarray
) -> np.ndarray:
    """Extrapolates from `other` through the images, or interpolates, by strength."""
    factor = _each(1 + FACTOR * strengths)
    return _within(other + factor * (images - other))


def _within(images: np.ndarray) -> np.ndarray:
    return np.clip(images, 0, 255)


def _gray(images: np.ndarray) -> np.ndarray:
    return (images @ GRAY)[..., None]


def _each(numbers: np.ndarray) -> np.ndarray:
    """Reshapes (B,) to (B, 1, 1, 1), for images (B, H, W, C)."""
    return numbers.astype("float32")[:, None, None, None]
