"""Embeddings of the photos of a table, a batch at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from keras_involution import _arguments
from keras_involution.data.images import ImageError
from keras_involution.whale_id.embeddings.embedders import Embedder
from keras_involution.whale_id.embeddings.embeddings import Embeddings
from keras_involution.whale_id.embeddings.ragged import RaggedArray
from keras_involution.whale_id.heads import load_centers
from keras_involution.whale_id.pipeline import Photos, ordered_batches

FLIPS = ("average", "keep", "none")

Extras = Callable[[pd.DataFrame], dict[str, np.ndarray | RaggedArray]]
"""Function from rows of a table to the extras of their `Embeddings`."""


def embed_photos(
    network: Embedder,
    photos: Photos,
    *,
    batch_size: int = 32,
    flip: str = "average",
    on_batch: Callable[[int], None] | None = None,
    fill: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Embeds photos in their order, with at most three batches in memory.

    Args:
        network: `Embedder`, such as an `EmbeddingNetwork`.
        photos: `Photos` of the network's image size.
        batch_size: Integer.
        flip: `"average"`, `"none"` or `"mirrored"`, as for `EmbeddingNetwork.embed`.
        on_batch: Function that is called with the number of photos done.
        fill: Boolean, whether to pad every batch, so that one compiled program is
            used for any number of rows.

    Returns:
        Row numbers (M,) of the usable photos, and their embeddings (M, D), float32,
        each of length one.

    Raises:
        ImageError: If an image cannot be used and `on_error` is `"stop"`.
        ValueError: If `batch_size` is not a positive integer.
    """
    _arguments.positive_integer(batch_size, "batch_size")
    rows: list[np.ndarray] = []
    features: list[np.ndarray] = []
    for numbers, images in ordered_batches(photos, batch_size):
        # The last batch is padded: another shape would be compiled again.
        missing = batch_size - len(images) if features or fill else 0
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        features.append(network.embed(filled, flip=flip)[: len(images)])
        rows.append(numbers)
        if on_batch is not None:
            on_batch(len(images))
    if not rows:
        return np.zeros(0, int), np.zeros((0, network.size), "float32")
    return np.concatenate(rows), np.concatenate(features)


def embed_rows(
    network: Embedder,
    table: pd.DataFrame,
    *,
    box_margin: float = 0.0,
    batch_size: int = 32,
    flip: str = "average",
    head: str | Path | None = None,
    on_error: str = "stop",
    on_batch: Callable[[int], None] | None = None,
    fill: bool = False,
    extra: Extras | None = None,
) -> tuple[Embeddings, dict[int, str]]:
    """Embeds rows of a table; it is not an error if none is usable.

    Args:
        network: `Embedder`.
        table: DataFrame as returned by `read_table`.
        box_margin: As for `embed`.
        batch_size: As for `embed`.
        flip: As for `embed`.
        head: As for `embed`.
        on_error: As for `embed`.
        on_batch: As for `embed`.
        fill: As for `embed_photos`.
        extra: As for `embed`.

    Returns:
        `Embeddings` of the usable rows, and a dictionary from the positions of the
        other rows in `table` to the reasons.

    Raises:
        ImageError: If a photo cannot be used and `on_error` is `"stop"`.
        ValueError: As for `embed`.
    """
    _arguments.one_of(flip, FLIPS, "flip")
    photos = Photos(table, network.image_size, box_margin, on_error)
    embedded = functools.partial(
        embed_photos,
        network,
        photos,
        batch_size=batch_size,
        on_batch=on_batch,
        fill=fill,
    )
    flipped: np.ndarray | None = None
    try:
        rows, features = embedded(flip="none" if flip == "keep" else flip)
        if flip == "keep":
            _, flipped = embedded(flip="mirrored")
    except ImageError:
        if on_error == "stop" or len(photos.skipped) < len(table):
            raise
        rows, features = np.zeros(0, int), np.zeros((0, network.size), "float32")
        flipped = features if flip == "keep" else None
    logits, classes = None, None
    if head is not None:
        centers, classes = load_centers(head, features.shape[1])
        logits = np.max(features @ centers, axis=0)
    chosen = table.iloc[rows].reset_index(drop=True)
    extras = extra(chosen) if extra is not None and len(chosen) else {}
    found = Embeddings(features, chosen, flipped, logits, classes, extras)
    return found, dict(sorted(photos.skipped.items()))


def embed(
    network: Embedder,
    table: pd.DataFrame,
    *,
    box_margin: float = 0.0,
    batch_size: int = 32,
    flip: str = "average",
    head: str | Path | None = None,
    on_error: str = "stop",
    on_batch: Callable[[int], None] | None = None,
    extra: Extras | None = None,
) -> tuple[Embeddings, dict[str, str]]:
    """Embeds the photos of a table.

    Args:
        network: `Embedder`, such as an `EmbeddingNetwork`.
        table: DataFrame as returned by `read_table`.
        box_margin: Float, widens boxes by this fraction of their sides.
        batch_size: Integer.
        flip: `"average"` averages the embeddings of the image and the mirrored image;
            `"keep"` stores the second one in `Embeddings.flipped`; `"none"` does not
            compute it.
        head: Path of the `head.npz` of a run. The cosines to its identities are stored
            in `Embeddings.logits`; `None` omits them.
        on_error: `"stop"`, or `"skip"` to leave out photos that cannot be used.
        on_batch: Function that is called with the number of photos done.
        extra: Function from the usable rows to a dictionary of their extras.

    Returns:
        `Embeddings` of the M usable images, of length one, and a dictionary from the
        paths of skipped images to the reasons.

    Raises:
        ImageError: If an image cannot be used and `on_error` is `"stop"`.
        ValueError: If `flip` is unknown, `batch_size` or `box_margin` out of range, or
            `head` belongs to another network.
    """
    found, skipped = embed_rows(
        network,
        table,
        box_margin=box_margin,
        batch_size=batch_size,
        flip=flip,
        head=head,
        on_error=on_error,
        on_batch=on_batch,
        extra=extra,
    )
    left_out = {str(table["path"].iloc[row]): why for row, why in skipped.items()}
    if not len(found):
        reason = next(iter(left_out.values()), "the table is empty")
        raise ImageError(f"No photo of the table can be used: {reason}")
    return found, left_out
