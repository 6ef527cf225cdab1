"""Reads images from files: safe decoding, cropping and resizing."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.data._warnings import large_images_allowed

MAX_PIXELS = 100_000_000
"""Images with more pixels than this are rejected before they are decoded."""

ON_ERROR = ("skip", "stop")
# The formats of cameras and editors. Pillow knows more formats and passes some of them,
# such as EPS, to other programs. HEIF is available if `pillow_heif` is registered.
_FORMATS = (
    "JPEG", "MPO", "PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "AVIF", "HEIF",
    "PPM", "TGA",
)  # fmt: skip
# Raw formats that Pillow reads as TIFF files, where it finds only a small preview.
_RAW = (".arw", ".cr2", ".dng", ".nef", ".nrw", ".orf", ".pef", ".rw2", ".srw")

logger = logging.getLogger("keras_involution.whale_id")


class ImageError(ValueError):
    """An image cannot be used; the message gives its name and the reason."""


def read_image(
    source: str | Path | bytes,
    image_size: Sequence[int] | None = None,
    bbox: Sequence[float] | None = None,
    box_margin: float = 0.0,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Decodes an image as upright RGB, crops it to a box and resizes it.

    Args:
        source: Path of a file, or the bytes of one.
        image_size: Height and width to stretch to; `None` keeps the size.
        bbox: [x, y, w, h] in pixels of the upright image; `None` for the whole image.
            Parts outside the image are cut off.
        box_margin: Float, widens the box on each side by this fraction of its size.
        max_pixels: Integer; images with more pixels raise an error before they are
            decoded.

    Returns:
        uint8 array (H, W, 3).

    Raises:
        ImageError: If the file is missing, damaged, too large or not an image, or the
            box lies outside the image.

    Example:

    >>> import io
    >>> from PIL import Image
    >>> from keras_involution.data.images import read_image
    >>> file = io.BytesIO()
    >>> Image.new("L", (60, 40)).save(file, "png")
    >>> read_image(file.getvalue(), (32, 32), bbox=[10, 10, 20, 20]).shape
    (32, 32, 3)
    """
    image = _decoded(source, max_pixels, None if bbox is not None else image_size)
    box = None if bbox is None else _box(bbox, box_margin, image.size, source)
    if image_size is not None:
        height, width = _arguments.spatial_tuple(image_size, 2, "image_size")
        image = image.resize((width, height), Image.Resampling.BILINEAR, box)
    elif box is not None:
        left, top, right, bottom = (round(side) for side in box)
        image = image.crop((left, top, right, bottom))
    return np.asarray(image)


def _decoded(
    source: str | Path | bytes, max_pixels: int, image_size: Sequence[int] | None
) -> Image.Image:
    """Decodes an image as upright RGB."""
    try:
        # `max_pixels` is checked below, before the image is decoded.
        with large_images_allowed(), open_image(source) as image:
            return _upright(image, max_pixels, image_size)
    except ImageError as error:
        raise ImageError(f"{name_of(source)}: {error}") from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{name_of(source)}: it is not an image of a known kind"
        ) from None
    except FileNotFoundError:
        raise ImageError(f"{name_of(source)}: there is no such file") from None
    except Exception as error:  # Damaged files break decoders in many ways.
        reason = str(error) or type(error).__name__
        raise ImageError(f"{name_of(source)}: cannot be decoded ({reason})") from error


def open_image(source: str | Path | bytes) -> Image.Image:
    """Opens an image like `PIL.Image.open`, without decoding it.

    Raises:
        ImageError: If the file is a camera raw file.
        OSError: If the file cannot be opened, or is not in a format that cameras and
            editors write.
    """
    if not isinstance(source, bytes) and str(source).lower().endswith(_RAW):
        raise ImageError("the raw data of a camera; export it as JPEG or TIFF")
    Image.init()
    known = [name for name in _FORMATS if name in Image.OPEN]
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    return Image.open(file, formats=known)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of the upright image, which boxes refer to."""
    width, height = image.size
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def _upright(
    image: Image.Image, max_pixels: int, image_size: Sequence[int] | None
) -> Image.Image:
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise ImageError(
            f"more than the {max_pixels:,} pixels allowed. "
            + received(width=image.width, height=image.height)
        )
    if pixels == 0:
        raise ImageError("an empty image")
    if image_size is not None and image.format == "JPEG":
        # JPEG can be decoded at a fraction of its size; twice the target is enough.
        side = 2 * max(image_size)
        image.draft("RGB", (side, side))
    return in_rgb(ImageOps.exif_transpose(image), white_of(image))


def in_rgb(image: Image.Image, white: float | None = None) -> Image.Image:
    """Converts an image of any mode to RGB.

    Args:
        image: PIL image.
        white: Float, the value of white in images of more than 8 bits. `None` reads it
            from the image, which must come directly from its file.

    Returns:
        PIL image with the mode "RGB".

    Raises:
        ImageError: If the value range of the image is not known.
    """
    if image.mode[:1] in ("I", "F"):
        image = _in_bytes(image, white_of(image) if white is None else white)
    if image.mode in ("P", "PA", "LA", "La", "RGBA", "RGBa"):
        # Transparent pixels become white instead of the color stored in them.
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return image.convert("RGB")


def white_of(image: Image.Image) -> float:
    """The value of white: the maximum of an integer type, or 1 for floats.

    It is not estimated from the values, since a dark image has only small ones.
    """
    if image.mode == "F":
        return 1.0
    bits = 16 if image.mode.startswith("I;16") or image.format != "TIFF" else 32
    signed = False
    if image.format == "TIFF":
        # Only TIFF images have this attribute; mypy sees the general class.
        tags = image.tag_v2  # type: ignore[attr-defined]
        bits, signed = max(tags.get(258, (bits,))), 2 in tags.get(339, ())
    return float(2 ** (bits - signed) - 1)


def _in_bytes(image: Image.Image, white: float) -> Image.Image:
    """Scales values from [0, white] to [0, 255]. Pillow would clip them at 255."""
    values = np.asarray(image, "float32")
    if white > 65535:
        raise ImageError("32-bit integers, whose value of white is unknown")
    low, high = values.min(initial=0), values.max(initial=0)
    if image.mode == "F" and not (low >= -0.01 and high <= 1.01):
        raise ImageError(
            f"floating-point values from {low:g} to {high:g}, which should be 0 to 1"
        )
    return Image.fromarray(
        np.rint(values.clip(0, white) * (255 / white)).astype("uint8")
    )


def _box(
    bbox: Sequence[float], box_margin: float, size: tuple[int, int], source: object
) -> tuple[float, float, float, float]:
    """The box as left, top, right, bottom, clipped to the image."""
    try:
        if isinstance(bbox, str):
            raise TypeError
        x, y, width, height = (float(v) for v in bbox)
    except (TypeError, ValueError):
        raise ImageError(
            f"{name_of(source)}: the box is not [x, y, width, height]. "
            + received(bbox=bbox)
        ) from None
    left, right = x - box_margin * width, x + (1 + box_margin) * width
    top, bottom = y - box_margin * height, y + (1 + box_margin) * height
    box = max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])
    finite = all(math.isfinite(v) for v in box)
    if not finite or box[2] - box[0] < 1 or box[3] - box[1] < 1:
        raise ImageError(
            f"{name_of(source)}: the box shows no pixel of the image. "
            + received(bbox=list(bbox), width=size[0], height=size[1])
        )
    return box


def name_of(source: object) -> str:
    """The name of an image in errors."""
    return f"<{len(source)} bytes>" if isinstance(source, bytes) else str(source)
