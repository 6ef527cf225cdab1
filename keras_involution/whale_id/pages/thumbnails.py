"""Photos for a page, cropped to their boxes and resized."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_involution._arguments import one_of, received
from keras_involution.data._warnings import large_images_allowed

ON_ERROR = ("skip", "stop")
MARGIN = 0.05
"""Fraction of the sides by which boxes are widened on pages."""
SIDE = 640
"""Longest side of a photo that is shown in large size."""


class Thumbnails:
    """Reads the photos of a page and lists those that cannot be read.

    Args:
        on_error: String: `"skip"` leaves a photo out, `"stop"` raises an error.
        warn: Function that is called with a message for every photo left out.
    """

    def __init__(
        self, on_error: str = "skip", warn: Callable[[str], Any] | None = None
    ) -> None:
        self.on_error = one_of(on_error, ON_ERROR, "on_error")
        self.warn = warn or (lambda text: None)
        self.skipped: list[str] = []

    def read(self, path: str, box: Any = None, side: int = 240) -> np.ndarray | None:
        """Bytes (h, w, 3) with no side longer than `side`, `None` if unreadable.

        Raises:
            ValueError: If it is unreadable and `on_error` is "stop".
        """
        return self._tried(path, lambda: load_thumbnail(path, box, side))

    def size(self, path: str) -> tuple[int, int] | None:
        """Width and height after EXIF rotation, `None` if unreadable.

        Raises:
            ValueError: If it is unreadable and `on_error` is "stop".
        """
        return self._tried(path, lambda: photo_size(path))

    def _tried(self, path: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except Exception as error:  # decoders raise errors of any type
            reason = f"{path} cannot be shown: {error or type(error).__name__}"
            if self.on_error == "stop":
                raise ValueError(f"{reason}. {received(path=path)}") from error
            if reason not in self.skipped:
                self.skipped.append(reason)
                self.warn(f"skipped {reason}")
            return None


def load_thumbnail(path: str, box: Any = None, side: int = 240) -> np.ndarray:
    """A photo as bytes (h, w, 3), cropped to a box with a margin and resized."""
    from PIL import ImageOps

    from keras_involution.data.images import (
        in_rgb,
        open_image,
        upright_size,
        white_of,
    )

    with large_images_allowed(), open_image(path) as image:
        white = white_of(image)
        if not isinstance(box, list):
            image.draft("RGB", (side, side))
            shown = ImageOps.exif_transpose(image)
        else:
            whole = upright_size(image)
            corners = _corners(box, whole)
            width, height = _enough(whole, corners, side)
            turned = whole != image.size
            image.draft("RGB", (height, width) if turned else (width, height))
            shown = ImageOps.exif_transpose(image)
            scale = shown.width / whole[0]
            left, top, right, bottom = (round(c * scale) for c in corners)
            shown = shown.crop((left, top, right, bottom))
        shown = in_rgb(shown, white)
    shown.thumbnail((side, side))
    return np.asarray(shown)


def fractions_shown(points: np.ndarray, box: Any, whole: tuple[int, int]) -> np.ndarray:
    """Converts pixels (M, 2) of a photo to fractions of its `load_thumbnail` image."""
    corners = _corners(box, whole) if isinstance(box, list) else (0.0, 0.0, *whole)
    left, top, right, bottom = corners
    return (points - [left, top]) / [right - left, bottom - top]


def photo_size(path: str) -> tuple[int, int]:
    """Width and height of a photo after EXIF rotation."""
    from keras_involution.data.images import open_image, upright_size

    with large_images_allowed(), open_image(path) as image:
        return upright_size(image)


def data_uri(image: np.ndarray, quality: int = 82, format: str = "JPEG") -> str:
    """An image of bytes (h, w, 3) as a data URI."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, format, quality=quality)
    data = base64.b64encode(file.getvalue()).decode()
    return f"data:image/{format.lower()};base64,{data}"


def _enough(
    whole: tuple[int, int], corners: tuple[float, ...], side: int
) -> tuple[int, int]:
    """Smallest size for decoding the photo at which the crop has `side` pixels."""
    left, top, right, bottom = corners
    scale = min(1, side / max(right - left, bottom - top))
    return int(whole[0] * scale) + 1, int(whole[1] * scale) + 1


def _corners(box: list[float], whole: tuple[int, int]) -> tuple[float, ...]:
    """Left, top, right and bottom of a box with its margin, clipped to the photo."""
    x, y, w, h = box
    left, top = max(0, x - MARGIN * w), max(0, y - MARGIN * h)
    right = min(whole[0], x + (1 + MARGIN) * w)
    bottom = min(whole[1], y + (1 + MARGIN) * h)
    if right - left < 1 or bottom - top < 1:
        raise ValueError(f"the box {box} lies outside the photo")
    return left, top, right, bottom
