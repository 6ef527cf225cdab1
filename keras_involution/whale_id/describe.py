"""Embeddings and keypoints of photos for a matcher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from keras_involution.data.images import ImageError, read_image
from keras_involution.whale_id.embeddings import Embeddings, embed
from keras_involution.whale_id.embeddings.embed import Extras
from keras_involution.whale_id.fusion.scorers import local_arrays
from keras_involution.whale_id.local import Extractor, Keypoints, LocalFeatures
from keras_involution.whale_id.model import EmbeddingNetwork


def describe(
    network: EmbeddingNetwork,
    table: pd.DataFrame,
    extractor: Extractor | None = None,
    *,
    on_image: Callable[[int], None] | None = None,
    **options: Any,
) -> tuple[Embeddings, dict[str, str]]:
    """Embeds the photos of a table and finds their keypoints.

    Args:
        network: `EmbeddingNetwork`.
        table: DataFrame as returned by `read_table`.
        extractor: `Extractor`, such as `XFeatExtractor()`; `None` skips keypoints.
        on_image: Function that is called with the number of photos done, once for
            their embeddings and once for their keypoints.
        **options: Arguments of `embed`.

    Returns:
        `Embeddings` of the usable photos, and a dictionary from the paths of the other
        photos to the reasons.

    Raises:
        ImageError: If a photo cannot be used and `on_error` is `"stop"`.
    """
    extra = None if extractor is None else local_extras(extractor, on_image)
    return embed(network, table, on_batch=on_image, extra=extra, **options)


def local_extras(
    extractor: Extractor, on_image: Callable[[int], None] | None = None
) -> Extras:
    """A function that finds keypoints of a table's rows, for the `extra` of `embed`.

    Args:
        extractor: `Extractor`.
        on_image: Function that is called with 1 for every photo.

    Returns:
        Function from a table to its `Embeddings.extras`.
    """

    def extras(table: pd.DataFrame) -> dict[str, Any]:
        keypoints = []
        for path, box in zip(table["path"], _boxes(table)):
            keypoints.append(_keypoints(extractor, path, box))
            if on_image is not None:
                on_image(1)
        return local_arrays(LocalFeatures.pack(keypoints))

    return extras


def _boxes(table: pd.DataFrame) -> list[Any]:
    boxes = table["bbox"] if "bbox" in table else [None] * len(table)
    return [box if isinstance(box, list | tuple) else None for box in boxes]


def _keypoints(extractor: Extractor, path: str, box: Any) -> Keypoints:
    try:
        return extractor(read_image(path), box)
    except ValueError as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path}: {error}") from error
