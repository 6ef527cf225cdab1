"""The content of a report: queries, candidates, and every photo once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from keras_involution.whale_id.open_set import NEW_LABEL
from keras_involution.whale_id.pages import Thumbnails, data_uri
from keras_involution.whale_id.report.heatmaps import Heatmaps
from keras_involution.whale_id.retrieve import Ranking
from keras_involution.whale_id.tables import UNKNOWN

Matches: TypeAlias = Callable[[pd.Series, pd.Series], np.ndarray | None]

# Number of photos of a page, side of each in pixels, and JPEG quality.
_SIZES = ((100, 640, 75), (300, 420, 65), (1000, 280, 55), (2**62, 192, 45))
_MOST_PHOTOS = 60
"""Photos of one animal on the page; the most similar one is always among them."""


def report_content(
    ranking: Ranking,
    queries: pd.DataFrame,
    database: pd.DataFrame,
    thumbnails: Thumbnails,
    *,
    top: int,
    confidence: np.ndarray | None,
    notes: Sequence[str],
    matches: Matches | None,
    heatmaps: Heatmaps | None,
) -> dict[str, Any]:
    """The content of the page, as plain values for JSON.

    Returns:
        Dictionary of "queries", each with its candidates; "animals", from identity to
        the indices of its photos; "photos", each with its `image_id` and the indices
        of its image and heat map; "images", data URIs.
    """
    shown = _Photos()
    content = [
        _query(number, query, ranking, database, shown, top, confidence, matches)
        | ({"note": notes[number]} if notes[number] else {})
        for number, (_, query) in enumerate(queries.iterrows())
    ]
    names = [c["identity"] for q in content for c in q["candidates"] if "identity" in c]
    animals = {
        name: _animal(name, content, database, shown) for name in dict.fromkeys(names)
    }
    images, photos = shown.read(thumbnails, heatmaps)
    return {
        "queries": content,
        "animals": animals,
        "photos": photos,
        "images": images,
    }


def _query(
    number: int,
    query: pd.Series,
    ranking: Ranking,
    database: pd.DataFrame,
    shown: _Photos,
    top: int,
    confidence: np.ndarray | None,
    matches: Matches | None,
) -> dict[str, Any]:
    candidates = []
    for place in _places(ranking.labels[number], top):
        label, score = ranking.labels[number, place], ranking.scores[number, place]
        candidate: dict[str, Any] = {"rank": place + 1}
        numbers = {"score": score}
        if confidence is not None:
            numbers["confidence"] = confidence[number, place]
        # JSON has no NaN, which stands for no percentage.
        candidate |= {k: round(float(v), 6) for k, v in numbers.items() if v == v}
        if label == NEW_LABEL:
            candidates.append(candidate | {"new": True})
            continue
        candidate |= {"identity": str(label), "best": None}
        assert ranking.images is not None
        row = int(ranking.images[number, place])
        if row >= 0:
            best = database.iloc[row]
            candidate["best"] = shown.add(best)
            points = None if matches is None else matches(query, best)
            if points is not None and len(points):
                candidate["points"] = np.round(points, 4).tolist()
        candidates.append(candidate)
    return {
        "id": str(query["image_id"]),
        "photo": shown.add(query),
        "facts": _facts(query),
        "told": "" if query["identity"] == UNKNOWN else str(query["identity"]),
        "candidates": candidates,
    }


def _places(labels: np.ndarray, top: int) -> Iterator[int]:
    """The first `top` animals, and the label of new animals if it is among them."""
    known = 0
    for place, label in enumerate(labels):
        if label == "":  # there may be fewer animals than columns
            continue
        known += label != NEW_LABEL
        if known > top or (known == top and label == NEW_LABEL):
            return
        yield place


def _animal(
    name: str,
    content: list[dict[str, Any]],
    database: pd.DataFrame,
    shown: _Photos,
) -> list[int]:
    """The indices of an animal's photos; those most similar to a query first."""
    candidates = [c for query in content for c in query["candidates"]]
    best = [c["best"] for c in candidates if c.get("identity") == name]
    numbers = dict.fromkeys(number for number in best if number is not None)
    for _, row in database[database["identity"] == name].iterrows():
        if len(numbers) >= _MOST_PHOTOS:
            break
        numbers[shown.add(row)] = None
    return list(numbers)


def _facts(query: pd.Series) -> str:
    """The known facts about a query."""
    names = ("species", "viewpoint", "date")
    values = [query[name] for name in names if name in query]
    return ", ".join(str(v) for v in values if pd.notna(v) and v != "")


class _Photos:
    """The photos of a page, without duplicates."""

    def __init__(self) -> None:
        self.rows: list[pd.Series] = []
        self._numbers: dict[tuple[str, str, str], int] = {}

    def add(self, row: pd.Series) -> int:
        """The index of a photo."""
        key = (str(row["image_id"]), row["path"], str(row.get("bbox")))
        if key not in self._numbers:
            self._numbers[key] = len(self.rows)
            self.rows.append(row)
        return self._numbers[key]

    def read(
        self, thumbnails: Thumbnails, heatmaps: Heatmaps | None
    ) -> tuple[list[str], list[dict[str, Any]]]:
        """The images, and the photos to which they belong."""
        side, quality = next((s, q) for most, s, q in _SIZES if len(self.rows) <= most)
        images: dict[str, int] = {}
        photos = []
        for row in self.rows:
            name = str(row["image_id"])
            photo: dict[str, Any] = {"id": name}
            pixels = thumbnails.read(row["path"], row.get("bbox"), side)
            if pixels is not None:
                uri = data_uri(pixels, quality, "WebP")
                photo["image"] = images.setdefault(uri, len(images))
                heat = None if heatmaps is None else heatmaps.image(name, pixels)
                if heat is not None:
                    uri = data_uri(heat, quality, "WebP")
                    photo["map"] = images.setdefault(uri, len(images))
            photos.append(photo)
        return list(images), photos
