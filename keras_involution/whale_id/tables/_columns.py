"""The standard columns, and the conversion of other formats to them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.tables.species import clean_species

UNKNOWN = "unknown"
OPEN_CLASS = frozenset({UNKNOWN, "new_whale", "new_individual"})
REQUIRED = ("image_id", "identity", "path")
OPTIONAL = ("bbox", "species", "date", "viewpoint", "encounter", "split")
# Other names of the same columns; the first one in the table is used.
ALIASES = {
    "viewpoint": ("viewpoint", "orientation", "position"),
    "encounter": ("encounter", "encounter_id"),
    "split": ("split", "original_split"),
}


def standard_table(
    frame: pd.DataFrame, images: str | Path, boxes: bool = True
) -> pd.DataFrame:
    """The standard columns, followed by the other columns of `frame` unchanged.

    Args:
        frame: DataFrame with at least `image_id`, `identity` and `path`.
        images: Base folder of relative paths.
        boxes: Whether to keep `bbox`.

    Returns:
        DataFrame with rows numbered from 0.

    Raises:
        ValueError: If a column is missing, a row lacks its id or path, or the table is
            empty.
    """
    frame = _with_standard_names(frame)
    check_columns(frame, REQUIRED)
    if frame.empty:
        raise ValueError(f"The table has no rows. {received(columns=list(frame))}")
    columns: dict[str, Any] = {
        "image_id": _complete(frame, "image_id"),
        "identity": [_identity(value) for value in frame["identity"]],
        "path": [
            _absolute(images, str(raw), path)
            for raw, path in zip(frame["path"], _complete(frame, "path"))
        ],
    }
    for name in OPTIONAL:
        if name in frame and (boxes or name != "bbox"):
            columns[name] = [_CLEANERS.get(name, text)(v) for v in frame[name]]
    used = {*REQUIRED, *OPTIONAL}
    # Adding thousands of other columns one by one would take seconds.
    others = frame.drop(columns=used.intersection(frame)).reset_index(drop=True)
    table = pd.concat([pd.DataFrame(columns), others], axis=1)
    return table.astype({"bbox": object}) if "bbox" in table else table


def check_columns(frame: pd.DataFrame, names: tuple[str, ...]) -> None:
    """Raises `ValueError` if a column is missing."""
    missing = [name for name in names if name not in frame]
    if missing:
        raise ValueError(
            f"The table lacks the columns {missing}. {received(columns=list(frame))}"
        )


def text(value: Any) -> str | None:
    """`value` as text, whole numbers without a decimal point; `None` if missing."""
    if is_missing(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def is_missing(value: Any) -> bool:
    if value is None or value is pd.NaT or value is pd.NA:
        return True
    if isinstance(value, str):
        return not value.strip()
    return isinstance(value, float) and math.isnan(value)


def parse_box(value: Any) -> Any:
    """A list of four floats, `None`, or `value` itself if it is not a box.

    `check_table` reports values that cannot be read.
    """
    if is_missing(value):
        return None
    try:
        parsed = json.loads(_brackets(value)) if isinstance(value, str) else value
        box = [float(number) for number in parsed]
    except (TypeError, ValueError):
        return value
    if not box:
        return None
    return box if len(box) == 4 and all(map(math.isfinite, box)) else value


def is_box(value: Any) -> bool:
    """Whether `parse_box` returned a valid box."""
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(v, float | int) and math.isfinite(v) for v in value)
    )


def _brackets(text: str) -> str:
    """Converts `(1, 2, 3, 4)`, a Python tuple as text, to a list."""
    text = text.strip()
    return f"[{text[1:-1]}]" if text[:1] + text[-1:] == "()" else text


def _with_standard_names(frame: pd.DataFrame) -> pd.DataFrame:
    names = {}
    for standard, aliases in ALIASES.items():
        found = [alias for alias in aliases if alias in frame]
        if found:
            names[found[0]] = standard
    return frame.rename(columns=names)


def _complete(frame: pd.DataFrame, name: str) -> list[str]:
    values = [text(value) for value in frame[name]]
    empty = [row for row, value in enumerate(values) if value is None]
    if empty:
        raise ValueError(
            f"`{name}` is empty in {len(empty)} rows. {received(rows=empty[:10])}"
        )
    return [value for value in values if value is not None]


def _identity(value: Any) -> str:
    name = text(value)
    return UNKNOWN if name is None or name.lower() in OPEN_CLASS else name


def _absolute(images: str | Path, raw: str, path: str) -> str:
    """The path, without spaces at its ends unless a file name has them.

    A table from Windows has backslashes between folders; elsewhere they may be part of
    a name.
    """
    whole = os.path.join(images, path)
    if raw != path and os.path.exists(os.path.join(images, raw)):
        whole = os.path.join(images, raw)
    elif "\\" in path and os.sep == "/" and not os.path.exists(whole):
        other = os.path.join(images, path.replace("\\", "/"))
        whole = other if os.path.exists(other) else whole
    return os.path.abspath(whole)


def _species(value: Any) -> str | None:
    name = text(value)
    return None if name is None else clean_species(name)


_CLEANERS: dict[str, Callable[[Any], Any]] = {"bbox": parse_box, "species": _species}
