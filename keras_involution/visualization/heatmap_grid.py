"""An image and its heat maps in one figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_involution._arguments import positive_integer, received
from keras_involution.visualization.overlay import overlay

_GAP, _LINE = 6, 20


def heatmap_grid(
    image: Any,
    heatmaps: Mapping[str, np.ndarray],
    groups: int = 3,
    opacity: float = 0.6,
    tile_width: int = 240,
) -> np.ndarray:
    """Draws an image and the heat maps of several layers, one row per layer.

    Each row shows the image, the mean over all groups, and the first groups.

    Args:
        image: Array (H, W, 3), values 0 to 255.
        heatmaps: Dictionary from the name of a layer to its maps (G, h, w), as returned
            by `image_heatmaps`, or to a single map (h, w).
        groups: Integer, largest number of groups to show.
        opacity: Float, as in `overlay`.
        tile_width: Integer, width of each image in pixels.

    Returns:
        uint8 array (H', W', 3).

    Raises:
        ValueError: If there are no maps, or the shapes do not fit.

    Example:

    >>> import numpy as np
    >>> from keras_involution import visualization
    >>> image = np.zeros((30, 40, 3), "uint8")
    >>> maps = {"stack0_block0_2_involution": np.ones((4, 30, 40))}
    >>> visualization.heatmap_grid(image, maps, tile_width=80).shape
    (100, 436, 3)
    """
    image = np.asarray(image)
    positive_integer(groups, "groups")
    positive_integer(tile_width, "tile_width")
    if not heatmaps:
        raise ValueError(f"`heatmaps` must not be empty. {received(heatmaps=[])}")
    rows = [
        (name, _tiles(image, np.asarray(maps), groups, opacity))
        for name, maps in heatmaps.items()
    ]
    height, width = image.shape[:2]
    tile = (tile_width, max(1, round(height * tile_width / width)))
    return _sheet(rows, tile)


def _tiles(
    image: np.ndarray, maps: np.ndarray, groups: int, opacity: float
) -> list[tuple[str, np.ndarray]]:
    titles = [("image", image.astype("uint8"))]
    if maps.ndim == 2:
        return [*titles, ("mean of the groups", overlay(image, maps, opacity))]
    chosen = [("mean of the groups", maps.mean(axis=0))]
    chosen += [(f"group {g + 1}", maps[g]) for g in range(min(groups, len(maps)))]
    return titles + [(title, overlay(image, m, opacity)) for title, m in chosen]


def _sheet(
    rows: list[tuple[str, list[tuple[str, np.ndarray]]]], tile: tuple[int, int]
) -> np.ndarray:
    from PIL import Image, ImageDraw, ImageFont

    titles = [title for title, _ in max((tiles for _, tiles in rows), key=len)]
    step = (tile[0] + _GAP, tile[1] + _LINE + _GAP)
    size = (_GAP + len(titles) * step[0], _LINE + len(rows) * step[1] - _GAP)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for column, title in enumerate(titles):
        draw.text((_GAP + column * step[0], 3), title, "black", font)
    for number, (name, tiles) in enumerate(rows):
        top = _LINE + number * step[1]
        for column, (_, pixels) in enumerate(tiles):
            image = Image.fromarray(pixels).resize(tile, Image.Resampling.LANCZOS)
            sheet.paste(image, (_GAP + column * step[0], top))
        draw.text((_GAP, top + tile[1] + 1), name, "black", font)
    return np.asarray(sheet)
