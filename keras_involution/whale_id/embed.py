"""Embeddings of the photographs of a table, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_involution import _arguments
from keras_involution.whale_id.embeddings import Embeddings
from keras_involution.whale_id.heads import load_centers
from keras_involution.whale_id.model import EmbeddingNetwork
from keras_involution.whale_id.pipeline import Photographs, ordered_batches

FLIPS = ("average", "keep", "none")


def embed_photographs(
    network: EmbeddingNetwork,
    photographs: Photographs,
    *,
    batch_size: int = 32,
    flip: str = "average",
    on_batch: Callable[[int], None] | None = None,
    part: range | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Embeds pictures in their order; no more than three batches are held at a time.

    Args:
        network: `EmbeddingNetwork`.
        photographs: `Photographs` of the network's image size.
        batch_size: Integer.
        flip: `"average"`, `"none"` or `"mirrored"`, as of `EmbeddingNetwork.embed`.
        on_batch: Function that is called with the number of pictures done.
        part: Range of the rows to embed, every batch filled up, so that one compiled
            program serves all parts; `None` for all rows.

    Returns:
        Row numbers (M,) of the pictures that could be used, and their embeddings
        (M, D), float32, each of length one.

    Raises:
        PhotographError: If a picture cannot be used and `on_error` is `"stop"`.
        ValueError: If `batch_size` is no positive integer.
    """
    _arguments.positive_integer(batch_size, "batch_size")
    rows: list[np.ndarray] = []
    features: list[np.ndarray] = []
    for numbers, images in ordered_batches(photographs, batch_size, rows=part):
        # The last batch is filled up: another shape would be compiled again.
        missing = batch_size - len(images) if features or part else 0
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        features.append(network.embed(filled, flip=flip)[: len(images)])
        rows.append(numbers)
        if on_batch is not None:
            on_batch(len(images))
    if not rows:
        return np.zeros(0, int), np.zeros((0, network.output_shape[-1]), "float32")
    return np.concatenate(rows), np.concatenate(features)


def embed_views(
    network: EmbeddingNetwork, photographs: Photographs, flip: str, **options: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """`embed_photographs` with one of `FLIPS`.

    Returns:
        Row numbers, embeddings, and with `"keep"` those of the mirrored pictures.
    """

    def one(view: str) -> tuple[np.ndarray, np.ndarray]:
        return embed_photographs(network, photographs, flip=view, **options)

    rows, features = one("average" if flip == "average" else "none")
    return rows, features, one("mirrored")[1] if flip == "keep" else None


def embed(
    network: EmbeddingNetwork,
    table: pd.DataFrame,
    *,
    margin: float = 0.0,
    batch_size: int = 32,
    flip: str = "average",
    head: str | Path | None = None,
    on_error: str = "stop",
    on_batch: Callable[[int], None] | None = None,
) -> tuple[Embeddings, dict[str, str]]:
    """Embeds the photographs of a table.

    Args:
        network: `EmbeddingNetwork`.
        table: DataFrame as of `read_table`.
        margin: Float, widens boxes by this share of their sides.
        batch_size: Integer.
        flip: `"average"` adds the embedding of the mirrored picture to that of the
            picture; `"keep"` puts it beside, in `Embeddings.flipped`; `"none"` leaves
            it away.
        head: Path of the `head.npz` of a run, for the cosines to its identities in
            `Embeddings.logits`; `None` leaves them away.
        on_error: `"stop"`, or `"skip"` to leave out what cannot be used.
        on_batch: Function that is called with the number of pictures done.

    Returns:
        `Embeddings` of the M pictures that could be used, of length one, and a
        dictionary of path -> reason of those left out.

    Raises:
        PhotographError: If a picture cannot be used and `on_error` is `"stop"`.
        ValueError: If `flip` is unknown, `batch_size` or `margin` out of range, or
            `head` belongs to another network.
    """
    _arguments.one_of(flip, FLIPS, "flip")
    photographs = Photographs(table, network.image_size, margin, on_error)
    rows, features, flipped = embed_views(
        network, photographs, flip, batch_size=batch_size, on_batch=on_batch
    )
    logits, classes = None, None
    if head is not None:
        centers, classes = load_centers(head, features.shape[1])
        logits = np.max(features @ centers, axis=0)
    left_out = {photographs.paths[r]: why for r, why in photographs.skipped.items()}
    chosen = table.iloc[rows].reset_index(drop=True)
    return Embeddings(features, chosen, flipped, logits, classes), left_out
