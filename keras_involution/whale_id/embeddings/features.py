"""Reads vectors of other programs as `Embeddings`."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from keras_involution._arguments import received
from keras_involution._files import known_suffix, reading
from keras_involution.whale_id.embeddings.embeddings import Embeddings
from keras_involution.whale_id.embeddings.npz import read_npz

SUFFIXES = (".npy", ".npz", ".parquet", ".csv", ".pkl")
_VECTORS = ("features", "embeddings", "embedding", "vectors", "arr_0")
_IDS = ("image_id", "image_ids", "ids", "id", "names")


def read_features(
    path: str | Path,
    table: pd.DataFrame,
    ids: Sequence[str] | str | Path | None = None,
) -> Embeddings:
    """Reads vectors and assigns them to the rows of a table.

    Args:
        path: Path of the file: `.npy` (N, D); `.npz` with `features`, `embeddings` or
            `vectors`; `.parquet` with a column of lists or with numeric columns;
            `.csv` with numeric columns; `.pkl`, the features of wildlife-tools, from
            which only arrays and tables are unpickled.
        table: DataFrame as returned by `read_table`.
        ids: Sequence of N strings, the `image_id` of every vector, or the path of a
            text file with one id per line. `None` uses the ids in the file; a file
            without ids must have a vector for every row of the table, in its order.

    Returns:
        `Embeddings` of the rows of the table that have a vector, in the order of the
        table. Other data in a file of `Embeddings.save`, such as keypoints, is kept.

    Raises:
        ValueError: If the file is damaged or has an unknown format, an id occurs twice
            or is not in the table, or the numbers of vectors and ids differ.

    Example:

    >>> import pathlib, tempfile, numpy as np, pandas as pd
    >>> from keras_involution.whale_id.embeddings.features import read_features
    >>> rows = {"image_id": ["a", "b"], "identity": ["A", "B"], "path": ["a", "b"]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "vectors.npy")
    ...     np.save(path, np.eye(2))
    ...     found = read_features(path, pd.DataFrame(rows), ids=["b", "a"])
    >>> found.features[:, 0].tolist()
    [0.0, 1.0]
    """
    path = Path(path)
    suffix = known_suffix(path, SUFFIXES)
    if ids is None and _is_own(path):
        found = Embeddings.load(path)
        rows, chosen = _places(
            found.table["image_id"].to_list(), len(found), table, path
        )
        return replace(found.rows(chosen), table=table.iloc[rows])
    read = {
        ".npy": _of_npy, ".npz": _of_npz, ".pkl": _of_wildlife_tools,
        ".parquet": lambda p: _of_frame(pd.read_parquet(p)),
        ".csv": lambda p: _of_frame(pd.read_csv(p, dtype=dict.fromkeys(_IDS, str))),
    }[suffix]  # fmt: skip
    with reading(path, "The vectors"):
        vectors, own = read(path)
        vectors = np.asarray(vectors, "float32")
        if vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise ValueError(f"{vectors.shape} are not finite vectors (N, D)")
    if isinstance(ids, str | Path):
        with reading(ids, "The ids"):
            ids = Path(ids).read_text("utf-8").split("\n")
            ids = [line.strip() for line in ids if line.strip()]
    names = own if ids is None else list(map(str, ids))
    rows, chosen = _places(names, len(vectors), table, path)
    return Embeddings(vectors[chosen], table.iloc[rows])


def _is_own(path: Path) -> bool:
    """Whether the path is an `.npz` file of `Embeddings.save`."""
    if path.suffix.lower() != ".npz" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {"features.npy", "table.npy"} <= set(archive.namelist())


def _places(
    names: list[str] | None, count: int, table: pd.DataFrame, path: Path
) -> tuple[list[int], list[int]]:
    """The rows of a table that have one of `count` vectors, and its position."""
    if names is None:
        names = [str(name) for name in table["image_id"]]
    if len(names) != count:
        raise ValueError(
            "There must be an id for every vector. "
            + received(path=str(path), vectors=count, ids=len(names))
        )
    places = {name: place for place, name in enumerate(names)}
    known = [str(name) for name in table["image_id"]]
    unknown = sorted(set(names) - set(known))
    if unknown or len(places) != len(names):
        raise ValueError(
            "Every id must occur once, and must be an `image_id` of the table. "
            + received(
                path=str(path), unknown=unknown[:5], twice=len(names) - len(places)
            )
        )
    rows = [row for row, name in enumerate(known) if name in places]
    return rows, [places[known[row]] for row in rows]


def _of_npy(path: Path) -> tuple[Any, list[str] | None]:
    with path.open("rb") as file:
        return np.load(file, allow_pickle=False), None


def _of_npz(path: Path) -> tuple[Any, list[str] | None]:
    arrays = read_npz(path)
    vectors = next((arrays[name] for name in _VECTORS if name in arrays), None)
    if vectors is None:
        raise ValueError(f"it has none of the arrays {_VECTORS}")
    ids: Any = next((arrays[name] for name in _IDS if name in arrays), None)
    return vectors, None if ids is None else [str(name) for name in ids]


def _of_frame(frame: pd.DataFrame) -> tuple[Any, list[str] | None]:
    ids = next((frame[name] for name in _IDS if name in frame), None)
    names = None if ids is None else [str(name) for name in ids]
    lists = [name for name in _VECTORS if name in frame and frame[name].dtype == object]
    if lists:
        return np.stack([np.asarray(v, "float32") for v in frame[lists[0]]]), names
    numbered = [n for n in frame if str(n).rpartition("_")[2].isdecimal()]
    columns = [n for n in numbered if pd.api.types.is_numeric_dtype(frame[n])]
    if not columns:
        raise ValueError("it has neither a column of lists nor columns with numbers")
    return frame[columns].to_numpy("float32"), names


def _of_wildlife_tools(path: Path) -> tuple[Any, list[str] | None]:
    """Reads a file of `wildlife_tools.data.FeatureDataset.save`."""
    with path.open("rb") as file:
        found = _PlainUnpickler(file).load()
    if not isinstance(found, dict) or "features" not in found:
        raise ValueError("it contains no features of wildlife-tools")
    metadata: Any = found.get("metadata", ())
    ids = next((metadata[n] for n in _IDS if n in metadata), None)
    return found["features"], None if ids is None else [str(name) for name in ids]


class _PlainUnpickler(pickle.Unpickler):
    """Unpickles only arrays and tables; a file cannot call any other function.

    Arrow columns are not allowed: a damaged one could crash the process.
    """

    _NAMES: ClassVar[set[tuple[str, str]]] = {
        ("_codecs", "encode"),
        ("builtins", "bytearray"),
        ("builtins", "slice"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("pandas", "DataFrame"),
        ("pandas", "Index"),
        ("pandas", "RangeIndex"),
        ("pandas._libs.internals", "_unpickle_block"),
        ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
        ("pandas.core.arrays.string_", "StringArray"),
        ("pandas.core.arrays.string_", "StringDtype"),
        ("pandas.core.frame", "DataFrame"),
        ("pandas.core.indexes.base", "Index"),
        ("pandas.core.indexes.base", "_new_Index"),
        ("pandas.core.indexes.range", "RangeIndex"),
        ("pandas.core.internals.managers", "BlockManager"),
    }

    def find_class(self, module: str, name: str) -> Any:
        plain = module.replace("numpy.core", "numpy._core")
        arrays = plain in ("numpy._core.multiarray", "numpy._core.numeric")
        made = arrays and name in ("_reconstruct", "scalar", "_frombuffer")
        if made or (module, name) in self._NAMES:
            return super().find_class(plain, name)
        raise ValueError(f"it contains {module}.{name}, not only arrays and tables")
