"""Draws the matched points of two photos."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from keras_involution._arguments import positive_integer
from keras_involution.whale_id.local.matching import LocalMatch

_GAP = 8
# Colors that people with color blindness can distinguish (Okabe and Ito).
_COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


def draw_matches(
    query: np.ndarray,
    candidate: np.ndarray,
    match: LocalMatch,
    *,
    height: int = 320,
    most: int = 30,
) -> np.ndarray:
    """Draws two photos side by side, with lines between their matched points.

    Args:
        query: Array (H, W, 3) of bytes, the photo of the query points.
        candidate: Array (H, W, 3) of bytes.
        match: `LocalMatch` of the two photos.
        height: Integer, height of the drawing in pixels.
        most: Integer, maximum number of points to draw, most similar first.

    Returns:
        Array (height, W, 3) of bytes.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.local import LocalMatch, draw_matches
    >>> image, points = np.zeros((40, 60, 3), "uint8"), np.array([[10.0, 20.0]])
    >>> match = LocalMatch(1.0, points, points, np.ones(1))
    >>> draw_matches(image, image, match, height=40).shape
    (40, 128, 3)
    """
    positive_integer(height, "height")
    positive_integer(most, "most")
    images = [_resized(image, height) for image in (query, candidate)]
    offset = images[0].width + _GAP
    drawing = Image.new("RGB", (offset + images[1].width, height), "white")
    drawing.paste(images[0], (0, 0))
    drawing.paste(images[1], (offset, 0))
    pen = ImageDraw.Draw(drawing)
    best = np.argsort(-match.similarities, kind="stable")[:most]
    for number, row in enumerate(best):
        color = _COLORS[number % len(_COLORS)]
        one = match.query_points[row] * (height / query.shape[0])
        other = match.candidate_points[row] * (height / candidate.shape[0])
        ends = [tuple(one), (other[0] + offset, other[1])]
        pen.line(ends, fill=color, width=1)
        for x, y in ends:
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), outline=color, width=2)
    return np.asarray(drawing)


def _resized(image: np.ndarray, height: int) -> Image.Image:
    width = max(round(image.shape[1] * height / image.shape[0]), 1)
    return Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
