"""The evidence that the upload page shows: photos and matched points."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_involution.whale_id.fusion import has_local_features
from keras_involution.whale_id.open_set import NEW_LABEL
from keras_involution.whale_id.pages import Thumbnails, data_uri
from keras_involution.whale_id.pages.points import MatchedPoints
from keras_involution.whale_id.pages.thumbnails import SIDE
from keras_involution.whale_id.serve.limits import Limits
from keras_involution.whale_id.serve.matcher import Matcher

_WITH_POINTS = 3
_MOST_PHOTOS = 12
_QUALITY = 70


class Evidence:
    """Computes the answers of the upload page, one at a time.

    Args:
        limits: `Limits`.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.thread = ThreadPoolExecutor(1)

    async def __call__(
        self, matcher: Matcher, features: np.ndarray, images: list[np.ndarray]
    ) -> dict[str, Any]:
        """The answer to `POST /compare`, from embeddings and images to show.

        Returns:
            Dictionary with "matches", which have "rank", "id", "rating" and "details"
            as in `/match`, for known animals "photos", and if keypoints are compared
            "points" of the first upload; "images", the uploads; "new", whether a new
            animal is the first answer, `None` without calibration; "calibrated",
            whether ratings are probabilities; "note", the condition of the
            probabilities, or the reason why there are none.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self.thread, self._answer, matcher, features, images
        )

    async def matches(
        self, matcher: Matcher, features: np.ndarray, images: list[np.ndarray]
    ) -> list[dict[str, Any]]:
        """The answer to `POST /match`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self.thread, matcher.matches, features, self.limits.top, images
        )

    def close(self) -> None:
        """Starts no further answers."""
        self.thread.shutdown(wait=False, cancel_futures=True)

    def _answer(
        self, matcher: Matcher, features: np.ndarray, images: list[np.ndarray]
    ) -> dict[str, Any]:
        queries = matcher.queries(features, images)
        entries, found = matcher.candidates(queries, self.limits.top)
        compared = has_local_features(queries)
        points = MatchedPoints(queries, matcher.database) if compared else None
        thumbnails = Thumbnails()
        matches = []
        for entry, row in entries:
            match: dict[str, Any] = dict(entry)
            if row >= 0:
                rows = matcher.photos(entry["id"], row)[:_MOST_PHOTOS]
                match["photos"] = [
                    _shown(matcher.table.iloc[number], thumbnails) for number in rows
                ]
                if points is not None and entry["rank"] <= _WITH_POINTS:
                    both = points(queries.table.iloc[0], matcher.table.iloc[row])
                    match["points"] = np.round(both, 4).tolist()
            matches.append(match)
        first = entries[0][0]
        rated = found.probabilities is not None and first["rating"] is not None
        return {
            "matches": matches,
            "images": [data_uri(image, _QUALITY, "WebP") for image in images],
            "new": first["id"] == NEW_LABEL if rated and matcher.knows_new else None,
            "calibrated": rated,
            "note": found.notes[0],
        }


def _shown(row: Any, thumbnails: Thumbnails) -> dict[str, str]:
    """A photo of the database, without an image if it cannot be read."""
    pixels = thumbnails.read(row["path"], row.get("bbox"), SIDE // 2)
    image = "" if pixels is None else data_uri(pixels, _QUALITY, "WebP")
    return {"id": str(row["image_id"]), "image": image}
