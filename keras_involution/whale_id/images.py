"""Photographs from files: decoding that nothing breaks, crops, sizes."""

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
from keras_involution.whale_id._warnings import large_pictures_welcome

MAX_PIXELS = 100_000_000
"""Pictures with more pixels than this are refused before they are unpacked."""

ON_ERROR = ("skip", "stop")
# What cameras and editors write. Pillow knows more, and hands some of it, as EPS, to
# other programs. HEIF is there where `pillow_heif` has been registered.
_FORMATS = (
    "JPEG", "MPO", "PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "AVIF", "HEIF",
    "PPM", "TGA",
)  # fmt: skip
# To Pillow these are TIFF files, of which it shows the preview: a few pixels.
_RAW = (".arw", ".cr2", ".dng", ".nef", ".nrw", ".orf", ".pef", ".rw2", ".srw")

logger = logging.getLogger("keras_involution.whale_id")


class PhotographError(ValueError):
    """A picture that cannot be used, with its name and the reason."""


def read_photograph(
    source: str | Path | bytes,
    image_size: Sequence[int] | None = None,
    bbox: Sequence[float] | None = None,
    margin: float = 0.0,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Decodes a picture, upright and in colour, crops it to its box and resizes it.

    Args:
        source: Path of a file, or the bytes of one.
        image_size: Height and width to stretch to; `None` leaves the size.
        bbox: [x, y, w, h] in pixels of the upright picture; `None` for the whole one.
            What lies outside of the picture is cut off.
        margin: Float, widens the box on each side by this share of its side.
        max_pixels: Integer, pictures with more pixels are refused unopened.

    Returns:
        Array (H, W, 3), bytes.

    Raises:
        PhotographError: If the file is missing, no picture, damaged, too large, or the
            box lies outside of it.

    Example:

    >>> import io
    >>> from PIL import Image
    >>> from keras_involution.whale_id.images import read_photograph
    >>> file = io.BytesIO()
    >>> Image.new("L", (60, 40)).save(file, "png")
    >>> read_photograph(file.getvalue(), (32, 32), bbox=[10, 10, 20, 20]).shape
    (32, 32, 3)
    """
    picture = _decoded(source, max_pixels, None if bbox is not None else image_size)
    box = None if bbox is None else _box(bbox, margin, picture.size, source)
    if image_size is not None:
        height, width = _arguments.spatial_tuple(image_size, 2, "image_size")
        picture = picture.resize((width, height), Image.Resampling.BILINEAR, box)
    elif box is not None:
        left, top, right, bottom = (round(side) for side in box)
        picture = picture.crop((left, top, right, bottom))
    return np.asarray(picture)


def _decoded(
    source: str | Path | bytes, max_pixels: int, image_size: Sequence[int] | None
) -> Image.Image:
    """The picture as RGB, upright."""
    try:
        # The limit here is checked below, before anything is unpacked.
        with large_pictures_welcome(), open_picture(source) as picture:
            return _upright(picture, max_pixels, image_size)
    except PhotographError as error:
        raise PhotographError(f"{name_of(source)}: {error}") from None
    except UnidentifiedImageError:
        raise PhotographError(
            f"{name_of(source)}: it is no picture of a known kind"
        ) from None
    except FileNotFoundError:
        raise PhotographError(f"{name_of(source)}: there is no such file") from None
    except Exception as error:  # Damaged files break decoders in many ways.
        reason = str(error) or type(error).__name__
        raise PhotographError(
            f"{name_of(source)}: cannot be decoded ({reason})"
        ) from error


def open_picture(source: str | Path | bytes) -> Image.Image:
    """Looks into a file that may be a photograph, as Pillow's `open`.

    Raises:
        PhotographError: If it is the raw data of a camera.
        OSError: If it cannot be opened, or is a picture of no kind that cameras and
            editors write.
    """
    if not isinstance(source, bytes) and str(source).lower().endswith(_RAW):
        raise PhotographError("the raw data of a camera; export it as JPEG or TIFF")
    Image.init()
    known = [name for name in _FORMATS if name in Image.OPEN]
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    return Image.open(file, formats=known)


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height of the picture as people see it; boxes are in its pixels."""
    width, height = picture.size
    turned = picture.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def _upright(
    picture: Image.Image, max_pixels: int, image_size: Sequence[int] | None
) -> Image.Image:
    pixels = picture.width * picture.height
    if pixels > max_pixels:
        raise PhotographError(
            f"more than the {max_pixels:,} pixels allowed. "
            + received(width=picture.width, height=picture.height)
        )
    if pixels == 0:
        raise PhotographError("an empty picture")
    if image_size is not None and picture.format == "JPEG":
        # JPEG can be unpacked at a fraction of its size; twice the target is enough.
        side = 2 * max(image_size)
        picture.draft("RGB", (side, side))
    return in_colour(ImageOps.exif_transpose(picture), white_of(picture))


def in_colour(picture: Image.Image, white: float | None = None) -> Image.Image:
    """A picture of any mode as RGB.

    Args:
        picture: Picture.
        white: Float, the value of white in pictures of more than 8 bits; `None` looks
            it up in the picture, which must come straight from its file.

    Returns:
        Picture of the mode "RGB".

    Raises:
        PhotographError: If what its numbers mean is not known.
    """
    if picture.mode[:1] in ("I", "F"):
        picture = _in_bytes(picture, white_of(picture) if white is None else white)
    if picture.mode in ("P", "PA", "LA", "La", "RGBA", "RGBa"):
        # What is transparent becomes white, not whatever colour lies beneath.
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("RGB")


def white_of(picture: Image.Image) -> float:
    """The value of white: the end of the type's range, and 1 for floats.

    Never guessed from the values, which are small in a dark picture of any type.
    """
    if picture.mode == "F":
        return 1.0
    bits = 16 if picture.mode.startswith("I;16") or picture.format != "TIFF" else 32
    signed = False
    if picture.format == "TIFF":
        # Only TIFF pictures have it, and mypy knows the general class.
        tags = picture.tag_v2  # type: ignore[attr-defined]
        bits, signed = max(tags.get(258, (bits,))), 2 in tags.get(339, ())
    return float(2 ** (bits - signed) - 1)


def _in_bytes(picture: Image.Image, white: float) -> Image.Image:
    """Values from 0 to white as 0 to 255; Pillow would clip them at 255."""
    values = np.asarray(picture, "float32")
    if white > 65535:
        raise PhotographError("integers of 32 bits, of which no value is white")
    low, high = values.min(initial=0), values.max(initial=0)
    if picture.mode == "F" and not (low >= -0.01 and high <= 1.01):
        raise PhotographError(
            f"floating-point values from {low:g} to {high:g}, which should be 0 to 1"
        )
    return Image.fromarray(
        np.rint(values.clip(0, white) * (255 / white)).astype("uint8")
    )


def _box(
    bbox: Sequence[float], margin: float, size: tuple[int, int], source: object
) -> tuple[float, float, float, float]:
    """Left, top, right, bottom inside of the picture."""
    try:
        if isinstance(bbox, str):
            raise TypeError
        x, y, width, height = (float(v) for v in bbox)
    except (TypeError, ValueError):
        raise PhotographError(
            f"{name_of(source)}: the box is not [x, y, width, height]. "
            + received(bbox=bbox)
        ) from None
    left, right = x - margin * width, x + (1 + margin) * width
    top, bottom = y - margin * height, y + (1 + margin) * height
    box = max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])
    finite = all(math.isfinite(v) for v in box)
    if not finite or box[2] - box[0] < 1 or box[3] - box[1] < 1:
        raise PhotographError(
            f"{name_of(source)}: the box shows no pixel of the picture. "
            + received(bbox=list(bbox), width=size[0], height=size[1])
        )
    return box


def name_of(source: object) -> str:
    """What an error calls a picture."""
    return f"<{len(source)} bytes>" if isinstance(source, bytes) else str(source)
