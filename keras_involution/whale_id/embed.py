"""Embeddings of the photographs of a table, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from keras_involution.whale_id.model import EmbeddingNetwork
from keras_involution.whale_id.pipeline import Photographs, ordered_batches


def embed_photographs(
    network: EmbeddingNetwork,
    photographs: Photographs,
    *,
    batch_size: int = 32,
    flip: bool = True,
    on_batch: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Embeds pictures in their order; no more than two batches are held at a time.

    Args:
        network: `EmbeddingNetwork`.
        photographs: `Photographs` of the network's image size.
        batch_size: Integer.
        flip: Boolean, whether the embedding of the mirrored picture is averaged in.
        on_batch: Function that is called with the number of pictures done.

    Returns:
        Row numbers (M,) of the pictures that could be used, and their embeddings
        (M, D), float32, each of length one.

    Raises:
        PhotographError: If a picture cannot be used and `on_error` is `"stop"`.
    """
    rows: list[np.ndarray] = []
    features: list[np.ndarray] = []
    for numbers, images in ordered_batches(photographs, batch_size):
        # The last batch is filled up: another shape would be compiled again.
        missing = batch_size - len(images) if features else 0
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        features.append(network.embed(filled, flip=flip)[: len(images)])
        rows.append(numbers)
        if on_batch is not None:
            on_batch(len(images))
    if not rows:
        return np.zeros(0, int), np.zeros((0, network.output_shape[-1]), "float32")
    return np.concatenate(rows), np.concatenate(features)


def embed(
    network: EmbeddingNetwork,
    table: pd.DataFrame,
    *,
    margin: float = 0.0,
    batch_size: int = 32,
    flip: bool = True,
    on_error: str = "stop",
    on_batch: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, pd.DataFrame, dict[str, str]]:
    """Embeds the photographs of a table.

    Args:
        network: `EmbeddingNetwork`.
        table: DataFrame with `path`, and `bbox` where known.
        margin: Float, widens boxes by this share of their sides.
        batch_size: Integer.
        flip: Boolean, whether the embedding of the mirrored picture is averaged in.
        on_error: `"stop"`, or `"skip"` to leave out what cannot be used.
        on_batch: Function that is called with the number of pictures done.

    Returns:
        Embeddings (M, D), float32, of length one; their M rows of the table; and a
        dictionary of path -> reason of the pictures left out.

    Raises:
        PhotographError: If a picture cannot be used and `on_error` is `"stop"`.
    """
    photographs = Photographs(table, network.image_size, margin, on_error)
    arguments: dict[str, Any] = {"flip": flip, "on_batch": on_batch}
    rows, features = embed_photographs(
        network, photographs, batch_size=batch_size, **arguments
    )
    left_out = {photographs.paths[r]: why for r, why in photographs.skipped.items()}
    return features, table.iloc[rows].reset_index(drop=True), left_out
