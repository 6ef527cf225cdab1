"""Reads files as DataFrames, with every value as written."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import pandas as pd

from keras_involution._arguments import received
from keras_involution._files import reading
from keras_involution.whale_id.tables._columns import ALIASES, OPTIONAL, REQUIRED

# Two columns with one of these names are ambiguous.
_MEANINGFUL = {
    *REQUIRED, *OPTIONAL, *(name for names in ALIASES.values() for name in names),
    "image", "Image", "individual_id", "Id", "name", "file_path", "file_name",
}  # fmt: skip


def read_frame(
    source: str | Path | pd.DataFrame, images: str | Path | None
) -> tuple[pd.DataFrame, Path]:
    """A DataFrame, and the base folder of its paths."""
    if isinstance(source, pd.DataFrame):
        return source.reset_index(drop=True), Path(images or ".")
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"The file does not exist. {received(source=str(path))}")
    read = _read_parquet if path.suffix.lower() == ".parquet" else read_cells
    with reading(path, "The table", name="source"):
        frame = read(path)
    return frame, path.parent if images is None else Path(images)


def read_cells(path: Path) -> pd.DataFrame:
    """All columns as text: an animal may be called `007` or `NA`."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            header = file.readline()
        with warnings.catch_warnings():
            # Rows with more cells than the header would be cut or shifted.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            cells = pd.read_csv(
                path,
                sep=max(",;\t", key=header.count),
                dtype=str,
                keep_default_na=False,
                encoding="utf-8-sig",
                index_col=False,
                header=None,
            )
    except UnicodeDecodeError as error:
        raise ValueError(
            "it is not UTF-8 text; spreadsheets can save as CSV in UTF-8"
        ) from error
    return _headed(cells)


def _headed(cells: pd.DataFrame) -> pd.DataFrame:
    """The first row as stripped column names; repeated names get a number."""
    names = [str(name).strip() for name in cells.iloc[0]]
    counts = Counter(names)
    twice = sorted(name for name in _MEANINGFUL if counts[name] > 1)
    if twice:
        raise ValueError(f"These columns occur twice. {received(columns=twice)}")
    seen: dict[str, int] = {}
    for place, name in enumerate(names):
        number = seen[name] = seen.get(name, -1) + 1
        names[place] = (name or "unnamed") + (f".{number}" if number else "")
    return cells.iloc[1:].reset_index(drop=True).set_axis(names, axis=1)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except ImportError as error:
        raise ValueError("parquet files need pyarrow: pip install pyarrow") from error
