"""Finds problems of the images and boxes of a table."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from PIL import UnidentifiedImageError

from keras_involution.data._warnings import large_images_allowed
from keras_involution.data.images import (
    MAX_PIXELS,
    in_rgb,
    open_image,
    upright_size,
)
from keras_involution.whale_id.tables._columns import UNKNOWN, is_box
from keras_involution.whale_id.tables._problem import Problem


@dataclass(frozen=True)
class ImageFacts:
    problem: tuple[str, str] | None
    size: tuple[int, int] = (0, 0)
    digest: str = ""


def look(path: str) -> ImageFacts:
    if not os.path.isfile(path):
        return ImageFacts(("missing", f"the file {path} does not exist"))
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with large_images_allowed(), open_image(path) as image:
            if image.width * image.height > MAX_PIXELS:
                reason = f"it has more than {MAX_PIXELS:,} pixels"
                return ImageFacts(("undecodable", f"{path}: {reason}"))
            in_rgb(image)
            return ImageFacts(None, upright_size(image), digest)
    except UnidentifiedImageError:
        reason = "it is not an image of a known kind"
    except Exception as error:  # decoders raise errors of any type
        reason = str(error) or type(error).__name__
    return ImageFacts(("undecodable", f"{path}: {reason}"))


def broken_images(
    table: pd.DataFrame, images: dict[str, ImageFacts]
) -> Iterator[Problem]:
    for row, path in table["path"].items():
        if (problem := images[path].problem) is not None:
            yield Problem(row, *problem)


def wrong_boxes(
    table: pd.DataFrame, images: dict[str, ImageFacts]
) -> Iterator[Problem]:
    if "bbox" not in table:
        return
    for row, path, box in zip(table.index, table["path"], table["bbox"]):
        if box is None:
            continue
        if not is_box(box):
            yield Problem(row, "box", f"the box {box!r} is not [x, y, w, h]")
        elif images[path].problem is None:
            yield from _box(row, box, images[path].size)


def _box(row: Any, box: list[float], size: tuple[int, int]) -> Iterator[Problem]:
    x, y, w, h = box
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + w, size[0]), min(y + h, size[1])
    shown = "x".join(map(str, size))
    if right - left < 1 or bottom - top < 1:
        yield Problem(row, "box", f"the box {box} lies outside the {shown} pixels")
        return
    if (left, top, right, bottom) == (x, y, x + w, y + h):
        return
    clipped = [left, top, right - left, bottom - top]
    what = f"the box {box} extends beyond the {shown} pixels"
    if x < w <= size[0] and y < h <= size[1]:
        what += "; it is read as [x, y, width, height], not as two corners"
    yield Problem(row, "box", what, clipped)


def two_animals(
    table: pd.DataFrame, images: dict[str, ImageFacts]
) -> Iterator[Problem]:
    boxes = table["bbox"] if "bbox" in table else [None] * len(table)
    same = defaultdict(list)
    for row, path, animal, box in zip(
        table.index, table["path"], table["identity"], boxes
    ):
        if animal != UNKNOWN and (digest := images[path].digest):
            same[digest].append((row, animal, str(box)))
    for rows in same.values():
        for row, animal, box in rows:
            others = {a for _, a, b in rows if a != animal and _overlap(b, box)}
            if others:
                names = ", ".join(sorted(others))
                what = f"the same image is listed as {animal} and as {names}"
                yield Problem(row, "two animals", what)


def _overlap(first: str, second: str) -> bool:
    """Whether two boxes, as text, may show the same animal; no box means all of it."""
    return first == second or "None" in (first, second)
