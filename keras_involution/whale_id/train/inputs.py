"""The training inputs of a run: photos, or stored vectors."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np
import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.assemble import build_network
from keras_involution.whale_id.config import TrainConfig
from keras_involution.whale_id.embeddings import Embeddings, embed_photos
from keras_involution.whale_id.model import EmbeddingNetwork, VectorNetwork
from keras_involution.whale_id.pipeline import Photos, Views

_OF_PHOTOS = (
    "image_size", "box_margin", "augmentation", "backbone", "spatial_operator",
    "stackwise_num_filters", "stackwise_num_blocks", "stackwise_strides",
    "kernel_size", "group_channels", "levels", "cells", "p", "dtype_policy",
)  # fmt: skip
_OF_VECTORS = ("hidden_size",)


class Inputs(Protocol):
    """A type of data, its network, and its embedding."""

    def network(self) -> Any:
        """Builds the network from the settings."""

    def views(self, rows: pd.DataFrame) -> Views:
        """The rows as views for a stream."""

    def embed(self, network: Any, rows: pd.DataFrame) -> Embeddings:
        """Embeddings of the usable rows."""

    def blanks(self, count: int) -> np.ndarray:
        """An input of the network, to measure its time."""

    def facts(self, rows: pd.DataFrame) -> bytes:
        """Bytes that distinguish the data of the rows from data with the same names."""


class PhotoInputs:
    """Photos as inputs of a backbone.

    Args:
        config: `TrainConfig`.

    Raises:
        ValueError: If a setting applies only to vectors.
    """

    def __init__(self, config: TrainConfig) -> None:
        _refuse(config, _OF_VECTORS, "stored vectors")
        self.config = config

    def network(self) -> EmbeddingNetwork:
        return build_network(self.config)

    def views(self, rows: pd.DataFrame) -> Photos:
        config, side = self.config, self.config.image_size
        return Photos(rows, (side, side), config.box_margin, config.on_error)

    def embed(self, network: EmbeddingNetwork, rows: pd.DataFrame) -> Embeddings:
        margin = self.config.box_margin
        photos = Photos(rows, network.image_size, margin, on_error="skip")
        usable, features = embed_photos(network, photos)
        chosen = rows.iloc[usable]
        if "image_id" not in chosen:
            chosen = chosen.assign(image_id=chosen["path"])
        return Embeddings(features, chosen)

    def blanks(self, count: int) -> np.ndarray:
        side = self.config.image_size
        return np.zeros((count, side, side, 3), "uint8")

    def facts(self, rows: pd.DataFrame) -> bytes:
        return b""


class VectorInputs:
    """Stored vectors as inputs of a projection.

    Args:
        embeddings: `Embeddings`; if there are `flipped` vectors, they are used as
            further views of the same photos.
        config: `TrainConfig`.

    Raises:
        ValueError: If a setting applies only to photos.
    """

    def __init__(self, embeddings: Embeddings, config: TrainConfig) -> None:
        _refuse(config, _OF_PHOTOS, "photos")
        self.embeddings, self.config = embeddings, config
        names = embeddings.table["image_id"].astype(str)
        bad = set(embeddings.unusable_rows().tolist())
        self._places = {n: row for row, n in enumerate(names) if row not in bad}

    def usable(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows that have a vector. All rows need one unless `on_error` is `"skip"`.

        Raises:
            ValueError: If a row has no vector or only zeros, and `on_error` is
                `"stop"`.
        """
        has = table["image_id"].astype(str).isin(list(self._places))
        if not has.all() and self.config.on_error == "stop":
            raise ValueError(
                "Every photo of the table needs a vector that is not zero; "
                "`on_error=skip` leaves out the others. "
                + received(
                    without=int((~has).sum()), first=list(table["image_id"][~has][:3])
                )
            )
        return table[has].reset_index(drop=True)

    def network(self) -> VectorNetwork:
        config = self.config
        size = config.embedding_size
        return VectorNetwork(
            self.embeddings.features.shape[1],
            hidden_size=config.hidden_size,
            dropout=config.dropout,
            **({} if size is None else {"embedding_size": size}),
        )

    def views(self, rows: pd.DataFrame) -> Vectors:
        return Vectors([view[self._rows(rows)] for view in self.embeddings.views])

    def embed(self, network: VectorNetwork, rows: pd.DataFrame) -> Embeddings:
        return Embeddings(
            network.embed(self.embeddings.features[self._rows(rows)]), rows
        )

    def blanks(self, count: int) -> np.ndarray:
        return np.zeros((count, self.embeddings.features.shape[1]), "float32")

    def facts(self, rows: pd.DataFrame) -> bytes:
        places = self._rows(rows)
        return b"".join(view[places].tobytes() for view in self.embeddings.views)

    def _rows(self, rows: pd.DataFrame) -> np.ndarray:
        names = rows["image_id"].astype(str)
        return np.array([self._places[name] for name in names], int)


class Vectors:
    """The `Views` of stored vectors: a random view of each photo.

    Args:
        vectors: List of arrays (N, D), for the photos and their mirror images.
    """

    kind = "vectors"

    def __init__(self, vectors: list[np.ndarray]) -> None:
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.vectors[0])

    def view(
        self, row: int, augmentation: str, random: np.random.Generator
    ) -> np.ndarray:
        """A vector (D,) of a row; `augmentation` is for images."""
        return self.vectors[random.integers(len(self.vectors))][row]


def _refuse(config: TrainConfig, names: tuple[str, ...], what: str) -> None:
    """Rejects settings that do not apply and are not at their defaults."""
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    given = {n: getattr(config, n) for n in names if getattr(config, n) != defaults[n]}
    if given:
        raise ValueError(f"These settings are for {what}. {received(**given)}")
