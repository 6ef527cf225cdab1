"""A growing folder of embeddings in shards, which records the finished rows."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_involution._arguments import received
from keras_involution._files import atomic_write, reading
from keras_involution.whale_id.embeddings.embeddings import (
    Embeddings,
    shard_paths,
    to_arrays,
)
from keras_involution.whale_id.embeddings.npz import read_npz, write_npz

_SETTINGS = "settings.json"


class Shards:
    """A folder with `settings.json` and the shards `000000.npz`, `000001.npz`, ...

    A shard is an `.npz` file of `Embeddings`, including extras, with the keys of its
    rows and of the rows that were left out. It is written completely or not at all, so
    finished rows are kept if the work is interrupted. One process assigns the shard
    numbers.

    Args:
        folder: Path of the folder.

    Example:

    >>> import tempfile, numpy as np, pandas as pd
    >>> from keras_involution.whale_id.embeddings import Embeddings, Shards
    >>> ids = ["a", "b", "c"]
    >>> table = pd.DataFrame({"image_id": ids, "identity": "A", "path": ids})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     shards = Shards(folder)
    ...     shards.open({"model": "x"})
    ...     shards.write(0, table[:2], Embeddings(np.eye(2), table[:2]), {})
    ...     shards.missing(table).tolist()
    [2]
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def open(self, settings: Mapping[str, Any], *, force: bool = False) -> None:
        """Creates the folder, or continues an existing one.

        Args:
            settings: Dictionary of JSON values on which all rows depend.
            force: Boolean, whether to remove shards with other settings.

        Raises:
            ValueError: If there are shards with other settings and `force` is false.
        """
        path = self.folder / _SETTINGS
        found = self.settings() if path.exists() else None
        wanted = json.loads(json.dumps(dict(settings)))
        if found is not None and found != wanted:
            if not force:
                names = sorted(set(found) | set(wanted))
                other = [n for n in names if found.get(n) != wanted.get(n)]
                raise ValueError(
                    f"The folder has embeddings with another {', '.join(other)}. "
                    "`--force` removes them and starts again. "
                    + received(folder=str(self.folder))
                )
            self.remove()
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, force=True) as draft:
            draft.write_text(json.dumps(wanted, indent=2), "utf-8")

    def settings(self) -> dict[str, Any]:
        """The settings that were passed to `open`.

        Raises:
            ValueError: If the folder contains no shards.
        """
        path = self.folder / _SETTINGS
        with reading(path, "The folder of embeddings"):
            found = json.loads(path.read_text("utf-8"))
            if not isinstance(found, dict):
                raise ValueError("the settings are not a dictionary")
        return found

    def paths(self) -> list[Path]:
        """The complete shards, in the order of their numbers."""
        return shard_paths(self.folder)

    def next_number(self) -> int:
        """The first unused shard number."""
        paths = self.paths()
        return int(paths[-1].stem) + 1 if paths else 0

    def write(
        self,
        number: int,
        rows: pd.DataFrame,
        embeddings: Embeddings,
        left_out: Mapping[int, str],
    ) -> None:
        """Writes a shard.

        Args:
            number: Integer.
            rows: DataFrame of the rows that it marks as finished.
            embeddings: `Embeddings` of the usable rows.
            left_out: Dictionary from the positions of the other rows in `rows` to the
                reasons.
        """
        arrays = shard_arrays(rows, embeddings, left_out)
        with atomic_write(self.folder / f"{number:06}.npz", force=True) as draft:
            write_npz(draft, arrays)

    def finished(self) -> set[str]:
        """Keys of the finished rows."""
        return {key for path in self.paths() for key in self._read(path)["keys"]}

    def missing(self, table: pd.DataFrame) -> np.ndarray:
        """Numbers of the rows of a table that are in no shard."""
        finished = self.finished()
        keys = row_keys(table)
        return np.array([i for i, key in enumerate(keys) if key not in finished], int)

    def left_out(self) -> dict[str, str]:
        """Dictionary from the paths of unusable photos to the reasons."""
        found: dict[str, str] = {}
        for path in self.paths():
            shard = self._read(path)
            found |= dict(zip(shard["left_out"].tolist(), shard["reasons"].tolist()))
        return found

    def load(self, table: pd.DataFrame | None = None) -> Embeddings:
        """Loads all rows; or the rows of a table, in its order and with its columns.

        Raises:
            ValueError: If a shard is damaged, or no photo could be used.
        """
        keys = [key for path in self.paths() for key in self._read(path)["embedded"]]
        if not keys:
            reason = next(iter(self.left_out().values()), "there are no shards")
            raise ValueError(
                f"No photo can be used: {reason}. " + received(folder=str(self.folder))
            )
        whole = Embeddings.load(self.folder)
        if table is None:
            return whole
        places = {key: place for place, key in enumerate(keys)}
        wanted = row_keys(table)
        rows = [row for row, key in enumerate(wanted) if key in places]
        chosen = whole.rows([places[wanted[row]] for row in rows])
        object.__setattr__(chosen, "table", table.iloc[rows].reset_index(drop=True))
        return chosen

    def remove(self) -> None:
        """Removes the shards and their settings, and the folder if it is then empty."""
        drafts = self.folder.glob(".*.keras_involution_draft.*")
        for path in [*self.paths(), *drafts, self.folder / _SETTINGS]:
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, path: Path) -> dict[str, np.ndarray]:
        with reading(path, "The shard, which the command makes again if removed,"):
            arrays = read_npz(path, mapped="extra:")
            if missing := {"keys", "embedded", "left_out", "reasons"} - set(arrays):
                raise ValueError(f"it has no {sorted(missing)}")
        return arrays


def shard_arrays(
    rows: pd.DataFrame, embeddings: Embeddings, left_out: Mapping[int, str]
) -> dict[str, Any]:
    """The arrays of the file of a shard."""
    paths = [str(rows["path"].iloc[place]) for place in left_out]
    keys = row_keys(rows)
    embedded = [key for place, key in enumerate(keys) if place not in left_out]
    return to_arrays(embeddings) | {
        "keys": np.array(keys, str),
        "embedded": np.array(embedded, str),
        "left_out": np.array(paths, str),
        "reasons": np.array(list(left_out.values()), str),
    }


def row_keys(table: pd.DataFrame) -> list[str]:
    """Keys of rows, made of the photo and its box."""
    boxes = table["bbox"] if "bbox" in table else [None] * len(table)
    columns = zip(table["image_id"], table["path"], boxes, strict=True)
    return [_key(str(name), str(path), box) for name, path, box in columns]


def _key(image_id: str, path: str, box: Any) -> str:
    sides = [round(float(x), 3) for x in box] if isinstance(box, list | tuple) else []
    text = json.dumps([image_id, path, sides])
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]
