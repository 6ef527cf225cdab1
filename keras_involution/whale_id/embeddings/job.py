"""A job: a table, its embedder and settings, and the shards with its embeddings."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_involution import __version__, _arguments
from keras_involution.data.images import ON_ERROR
from keras_involution.whale_id.describe import local_extras
from keras_involution.whale_id.embeddings.embed import FLIPS, Extras, embed_rows
from keras_involution.whale_id.embeddings.embedders import Embedder, Source
from keras_involution.whale_id.embeddings.shards import Shards
from keras_involution.whale_id.local import build_extractor


@dataclass(frozen=True)
class Job:
    """A table, its embedder, and the settings.

    Args:
        table: DataFrame as returned by `read_table`.
        source: `Source` of the embedder.
        out: Path: an `.npz`, `.parquet` or `.csv` file, whose shards are in
            `<out>.shards` until it is complete; or a folder, which keeps its shards.
        flip: As for `embed`.
        box_margin: As for `embed`; `None` uses the margin of the training.
        head: Boolean, whether to add the logits of the run's head.
        on_error: As for `embed`.
        batch_size: Integer.
        shard_size: Integer, number of photos in a shard.
        local: Dictionary of arguments of `build_extractor`. Its keypoints are stored
            with the embeddings, in an `.npz` file or a folder. `None` stores no
            keypoints.

    Raises:
        ValueError: If an option is unknown or out of range.
    """

    table: pd.DataFrame
    source: Source
    out: Path
    flip: str = "average"
    box_margin: float | None = None
    head: bool = False
    on_error: str = "stop"
    batch_size: int = 32
    shard_size: int = 256
    local: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        _arguments.one_of(self.flip, FLIPS, "flip")
        _arguments.one_of(self.on_error, ON_ERROR, "on_error")
        _arguments.positive_integer(self.batch_size, "batch_size")
        _arguments.positive_integer(self.shard_size, "shard_size")
        margin = self.box_margin
        if margin is None:
            margin = self.source.box_margin()
        object.__setattr__(
            self, "box_margin", _arguments.not_negative(margin, "box_margin")
        )
        if self.out.suffix.lower() in (".csv", ".parquet"):
            object.__setattr__(self, "local", None)

    @property
    def is_folder(self) -> bool:
        return not self.out.suffix

    @property
    def shards(self) -> Shards:
        place = self.out if self.is_folder else Path(f"{self.out}.shards")
        return Shards(place)

    def settings(self) -> dict[str, Any]:
        """The settings on which embeddings depend, besides the photo."""
        own: dict[str, Any] = {"flip": self.flip, "box_margin": self.box_margin}
        own["head"] = self.head
        own["local"] = None if self.local is None else dict(self.local)
        return {**self.source.settings(), **own, "version": __version__}

    @functools.cached_property
    def _extra(self) -> Extras | None:
        """The function that finds keypoints; built once per process."""
        if self.local is None:
            return None
        return local_extras(build_extractor(**self.local))

    def tasks(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """Rows grouped into shards, with the shard numbers."""
        first = self.shards.next_number()
        starts = range(0, len(rows), self.shard_size)
        return [
            {"shard": first + i, "rows": rows[start : start + self.shard_size].tolist()}
            for i, start in enumerate(starts)
        ]

    def embed(self, embedder: Embedder, rows: Sequence[int]) -> tuple[Any, Any, Any]:
        """The rows of a task, their `Embeddings`, and the rows left out."""
        chosen = self.table.iloc[list(rows)].reset_index(drop=True)
        found, left_out = embed_rows(
            embedder,
            chosen,
            box_margin=self.box_margin or 0.0,
            batch_size=min(self.batch_size, self.shard_size),
            flip=self.flip,
            head=self.source.head() if self.head else None,
            on_error=self.on_error,
            fill=True,
            extra=self._extra,
        )
        object.__setattr__(found, "settings", self.settings())
        return chosen, found, left_out

    def write(self, embedder: Embedder, task: dict[str, Any]) -> None:
        """Embeds the rows of a task and writes their shard."""
        self.shards.write(task["shard"], *self.embed(embedder, task["rows"]))
