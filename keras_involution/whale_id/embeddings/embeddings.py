"""Embeddings of the photos of a table, in files that other tools can read."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_involution._arguments import received
from keras_involution._files import atomic_write, known_suffix, reading
from keras_involution.whale_id.embeddings.npz import read_npz, write_npz
from keras_involution.whale_id.embeddings.ragged import RaggedArray
from keras_involution.whale_id.tables import from_wildlife
from keras_involution.whale_id.tables._columns import REQUIRED, check_columns
from keras_involution.whale_id.tables.write import plain_table, write_csv

SUFFIXES = (".npz", ".parquet", ".csv")


_FEATURE = re.compile(r"feature_\d+")
_EXTRA = "extra:"
_NAME = re.compile(r"\w+")


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of the photos of a table.

    Args:
        features: Array (N, D), stored as float32.
        table: DataFrame of N rows as returned by `read_table`; rows are renumbered
            from 0.
        flipped: Array (N, D), the embeddings of the mirrored photos, or `None`.
        logits: Array (N, K), cosines of the head without margins, or `None`.
        classes: Sequence of K strings, the identities of the logits.
        extras: Dictionary of arrays with N rows each, or of `RaggedArray`s of N arrays:
            further data about the photos, such as their keypoints.
        settings: Dictionary of JSON values on which the embeddings depend, such as the
            network and the size. Empty if it is not known.

    Raises:
        ValueError: If the shapes do not match, or a column of the table is missing.

    Example:

    >>> import numpy as np, pandas as pd
    >>> from keras_involution.whale_id import Embeddings
    >>> df = {"image_id": ["1", "2"], "identity": ["A", "B"], "path": ["1", "2"]}
    >>> embeddings = Embeddings(np.eye(2), pd.DataFrame(df))
    >>> embeddings.rows(embeddings.table["identity"] == "B").features
    array([[0., 1.]], dtype=float32)
    """

    features: np.ndarray
    table: pd.DataFrame
    flipped: np.ndarray | None = None
    logits: np.ndarray | None = None
    classes: Sequence[str] | None = None
    extras: Mapping[str, np.ndarray | RaggedArray] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("features", "flipped", "logits"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, np.asarray(value, "float32"))
        object.__setattr__(self, "table", self.table.reset_index(drop=True))
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(map(str, self.classes)))
        _check(self)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def views(self) -> list[np.ndarray]:
        """The features, and the features of the mirrored photos if there are any."""
        return [self.features] + ([] if self.flipped is None else [self.flipped])

    def rows(self, chosen: Any) -> Embeddings:
        """Selects rows by a boolean mask (N,) or row numbers."""
        chosen = np.asarray(chosen)
        places = np.arange(len(self))[chosen if chosen.size else slice(0)]
        return Embeddings(
            self.features[places],
            self.table.iloc[places],
            None if self.flipped is None else self.flipped[places],
            None if self.logits is None else self.logits[places],
            self.classes,
            {name: _taken(values, places) for name, values in self.extras.items()},
            self.settings,
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Embeddings]) -> Embeddings:
        """Concatenates the rows of several `Embeddings` with the same settings.

        Raises:
            ValueError: If there are none, or they have different parts.
        """
        kinds = {(p.flipped is None, p.classes, tuple(sorted(p.extras))) for p in parts}
        if len(kinds) != 1:
            raise ValueError(
                "All embeddings must have the same flips, classes and extras. "
                + received(kinds=sorted(map(str, kinds)))
            )
        first = parts[0]

        def joined(name: str) -> np.ndarray | None:
            arrays = [getattr(part, name) for part in parts]
            return None if arrays[0] is None else np.concatenate(arrays)

        return cls(
            np.concatenate([part.features for part in parts]),
            pd.concat([part.table for part in parts], ignore_index=True),
            joined("flipped"),
            joined("logits"),
            first.classes,
            {name: _joined([p.extras[name] for p in parts]) for name in first.extras},
            first.settings,
        )

    def unusable_rows(self) -> np.ndarray:
        """Numbers of the rows with values that are not finite, or with only zeros."""
        good = np.ones(len(self), bool)
        for view in self.views:
            good &= np.isfinite(view).all(axis=1) & view.any(axis=1)
        if self.logits is not None:
            good &= np.isfinite(self.logits).all(axis=1)
        return np.flatnonzero(~good)

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Writes one file; an interrupted write keeps the old file.

        `.npz` contains everything, including `features` (N, D), and the table as CSV
        text in `table`. `.parquet` contains the table and a column `features` of lists,
        `.csv` the table and columns `feature_0, feature_1, ...`, and nothing else.

        Raises:
            ValueError: If the suffix is unknown, or the file exists and `force` is
                false.
        """
        write = {".npz": _to_npz, ".parquet": _to_parquet, ".csv": _to_csv}
        with atomic_write(path, force, SUFFIXES) as draft:
            write[draft.suffix.lower()](self, draft)

    @classmethod
    def load(cls, path: str | Path) -> Embeddings:
        """Reads a file written by `save`, or all shards of a folder of `Shards`.

        The extras of an `.npz` file are memory-mapped and use memory only when read.

        Raises:
            ValueError: If the file is missing, damaged or has another content.
        """
        path = Path(path)
        if path.is_dir():
            return _from_folder(path)
        suffix = known_suffix(path, SUFFIXES)
        with reading(path, "The embeddings"):
            if suffix == ".npz":
                return from_arrays(read_npz(path, mapped=_EXTRA))
            return cls(**(_from_csv if suffix == ".csv" else _from_parquet)(path))


def _check(e: Embeddings) -> None:
    check_columns(e.table, REQUIRED)
    shapes = {
        "features": e.features.shape,
        "flipped": None if e.flipped is None else e.flipped.shape,
        "logits": None if e.logits is None else e.logits.shape,
        "classes": None if e.classes is None else len(e.classes),
        "rows": len(e.table),
        "extras": {name: len(values) for name, values in e.extras.items()},
    }
    fit = e.features.ndim == 2 and len(e.features) == len(e.table)
    fit &= e.flipped is None or e.flipped.shape == e.features.shape
    fit &= (e.logits is None) == (e.classes is None)
    if e.logits is not None and e.classes is not None:
        fit &= e.logits.shape == (len(e.table), len(e.classes))
    fit &= all(len(values) == len(e.table) for values in e.extras.values())
    fit &= all(_NAME.fullmatch(name) is not None for name in e.extras)
    if not fit:
        raise ValueError(
            "`features` and `flipped` must be (N, D), `logits` (N, K) with K classes, "
            f"and extras N rows, for the N rows of the table. {received(**shapes)}"
        )


def _taken(values: np.ndarray | RaggedArray, places: Any) -> np.ndarray | RaggedArray:
    return values.rows(places) if isinstance(values, RaggedArray) else values[places]


def _joined(parts: Sequence[np.ndarray | RaggedArray]) -> np.ndarray | RaggedArray:
    ragged = [part for part in parts if isinstance(part, RaggedArray)]
    if ragged:
        return RaggedArray.concatenate(ragged)
    return np.concatenate(parts)  # type: ignore[arg-type]


def to_arrays(e: Embeddings) -> dict[str, Any]:
    """Everything as the arrays of an `.npz` file."""
    # A carriage return in a name would end the row if it were not quoted.
    text = plain_table(e.table).to_csv(index=False, quoting=csv.QUOTE_ALL)
    arrays: dict[str, Any] = {"features": e.features, "flipped": e.flipped}
    arrays |= {"logits": e.logits, "table": np.array(text.encode())}
    arrays["classes"] = None if e.classes is None else np.array(e.classes, str)
    if e.settings:
        arrays["settings"] = np.array(json.dumps(dict(e.settings)).encode())
    for name, values in e.extras.items():
        if isinstance(values, RaggedArray):
            arrays[f"{_EXTRA}{name}.values"] = values.values
            arrays[f"{_EXTRA}{name}.offsets"] = values.offsets
        else:
            arrays[_EXTRA + name] = values
    return arrays


def from_arrays(arrays: dict[str, np.ndarray]) -> Embeddings:
    """Creates `Embeddings` from the arrays of an `.npz` file."""
    text = io.BytesIO(arrays["table"].item())
    frame = pd.read_csv(text, dtype=str, keep_default_na=False)
    names = ("features", "flipped", "logits", "classes")
    kept: dict[str, Any] = {name: arrays[name] for name in names if name in arrays}
    if "settings" in arrays:
        kept["settings"] = json.loads(arrays["settings"].item())
    extras: dict[str, np.ndarray | RaggedArray] = {}
    for key, values in arrays.items():
        name, _, part = key.removeprefix(_EXTRA).partition(".")
        if key.startswith(_EXTRA) and part == "values":
            extras[name] = RaggedArray(values, arrays[f"{_EXTRA}{name}.offsets"])
        elif key.startswith(_EXTRA) and not part:
            extras[name] = values
    return Embeddings(**kept, extras=extras, table=from_wildlife(frame))


def _from_folder(folder: Path) -> Embeddings:
    parts = []
    for path in shard_paths(folder):
        with reading(path, "The shard, which the command makes again if removed,"):
            parts.append(from_arrays(read_npz(path, mapped=_EXTRA)))
    if not any(map(len, parts)):
        raise ValueError(
            "The folder contains no embeddings. " + received(folder=str(folder))
        )
    return Embeddings.concatenate([part for part in parts if len(part)])


def shard_paths(folder: Path) -> list[Path]:
    """The complete shards of a folder, in the order of their numbers."""
    return sorted(folder.glob("[0-9]*.npz"))


def _to_npz(e: Embeddings, path: Path) -> None:
    write_npz(path, to_arrays(e))


def _to_parquet(e: Embeddings, path: Path) -> None:
    check_free(e.table, ".parquet")
    plain_table(e.table).assign(features=list(e.features)).to_parquet(path, index=False)


def _from_parquet(path: Path) -> dict[str, Any]:
    frame = pd.read_parquet(path)
    features = np.stack([np.asarray(row, "float32") for row in frame.pop("features")])
    return {"features": features, "table": from_wildlife(frame)}


def _to_csv(e: Embeddings, path: Path) -> None:
    names = [f"feature_{i}" for i in range(e.features.shape[1])]
    check_free(e.table, ".csv")
    columns = pd.DataFrame(e.features, columns=names)
    write_csv(pd.concat([plain_table(e.table), columns], axis=1), path)


def check_free(table: pd.DataFrame, suffix: str) -> None:
    """Rejects a table with columns whose names are reserved in the file format."""
    needed = {".parquet": re.compile("features"), ".csv": _FEATURE}.get(suffix)
    taken = [name for name in map(str, table) if needed and needed.fullmatch(name)]
    if taken:
        raise ValueError(
            "These column names of the table are reserved for the embeddings in this "
            f"format; rename them, or write .npz. {received(columns=taken)}"
        )


def _from_csv(path: Path) -> dict[str, Any]:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    names = [name for name in frame if _FEATURE.fullmatch(str(name))]
    if not names:
        raise ValueError("there is no column feature_0")
    features = frame[names].to_numpy().astype("float32")
    return {"features": features, "table": from_wildlife(frame.drop(columns=names))}
