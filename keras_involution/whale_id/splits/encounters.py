"""Finds photos that belong to the same encounter with an animal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import ExifTags

from keras_involution._arguments import received
from keras_involution.data.images import ImageError, open_image
from keras_involution.whale_id.tables._dates import parse_dates

HOURS, FRAMES = 1.0, 10
COUNTER = "photo_number"
# Camera file names: DSCN4422, IMG_0012, P1010023, DJI_0042, _MG_1234.
_CAMERA_FILE = re.compile(r"((?:.*[^A-Za-z])?_?[A-Z]{1,5}_?(?:\d{1,3}_)?)(\d{4,8})$")
_ENOUGH = 0.5


@dataclass(frozen=True)
class Encounters:
    """The encounter of every photo.

    Args:
        names: Series of strings, the encounter of each photo; a photo without an
            encounter has a unique name.
        source: String, the source of the encounters: a column, the time, counters or
            nothing.
    """

    names: pd.Series
    source: str

    @property
    def found(self) -> bool:
        """Whether the table contains information about encounters."""
        return self.source != "nothing"


def find_encounters(
    table: pd.DataFrame,
    column: str | None = "auto",
    *,
    hours: float = HOURS,
    frames: int = FRAMES,
    files: bool = False,
) -> Encounters:
    """Finds the encounters of the photos of a table.

    The first source with values for at least half of the rows is used: the column
    `encounter`; the column `date`, or with `files` the time in the photo files; the
    camera's frame counter, in the column `photo_number` or in the file names. Photos of
    one animal belong to one encounter if the gaps between consecutive photos are at
    most `hours` or `frames`. With dates without a time, each day is one encounter.

    Args:
        table: DataFrame as returned by `read_table`.
        column: String, a column to use instead; `"auto"` as above; `None` treats every
            photo as an encounter.
        hours: Float.
        frames: Integer.
        files: Boolean, whether to open the photos for their time.

    Returns:
        `Encounters`.

    Raises:
        ValueError: If the column is missing.

    Example:

    >>> import pandas as pd
    >>> from keras_involution.whale_id.splits import find_encounters
    >>> table = pd.DataFrame({"image_id": ["1", "2", "3"], "identity": ["A"] * 3,
    ...     "path": ["IMG_0100.jpg", "IMG_0104.jpg", "IMG_0900.jpg"]})
    >>> find_encounters(table).names.nunique()
    2
    """
    alone = "image " + table["image_id"].astype(str)
    if column is None:
        return Encounters(alone, "nothing")
    if column != "auto":
        if column not in table:
            raise ValueError(f"The column does not exist. {received(column=column)}")
        return Encounters(_named(table[column], alone), f"the column {column!r}")
    if "encounter" in table and _said(table["encounter"]).mean() >= _ENOUGH:
        return Encounters(_named(table["encounter"], alone), "the column 'encounter'")
    times, source = _times(table, files)
    if times is not None and times.notna().mean() >= _ENOUGH:
        return Encounters(_by_time(table, times, hours, alone), source)
    prefix, counter = _counters(table)
    if counter.notna().mean() >= _ENOUGH:
        names = _chained(table, prefix, counter, frames, alone)
        return Encounters(names, f"counters of the camera, gaps up to {frames}")
    return Encounters(alone, "nothing")


def _said(values: pd.Series) -> pd.Series:
    return values.notna() & (values.astype(str).str.strip() != "")


def _named(values: pd.Series, alone: pd.Series) -> pd.Series:
    return alone.where(~_said(values), "encounter " + values.astype(str))


def _times(table: pd.DataFrame, files: bool) -> tuple[pd.Series | None, str]:
    if "date" in table and _said(table["date"]).mean() >= _ENOUGH:
        return parse_dates(
            table["date"].where(_said(table["date"]))
        ), "the column 'date'"
    if not files:
        return None, ""
    written = pd.Series([_exif_time(path) for path in table["path"]], table.index)
    return parse_dates(written), "the time in the photos"


def _exif_time(path: str | Path) -> str | None:
    try:
        with open_image(path) as image:
            exif = image.getexif()
            taken = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
            return str(taken) if taken else None
    except (ImageError, OSError, ValueError, SyntaxError):
        return None  # `check` lists files that cannot be read.


def _by_time(
    table: pd.DataFrame, times: pd.Series, hours: float, alone: pd.Series
) -> pd.Series:
    known = times.dropna()
    if (known == known.dt.normalize()).all():
        days = times.dt.strftime("%Y-%m-%d")
        return alone.where(days.isna(), table["identity"].astype(str) + " " + days)
    minutes = (times - known.min()).dt.total_seconds() / 60
    nothing = pd.Series("", table.index)
    return _chained(table, nothing, minutes, hours * 60, alone)


def _counters(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The name of a series of files, and the number of each file in it."""
    if COUNTER in table:
        numbers = pd.to_numeric(table[COUNTER], errors="coerce").astype("float64")
        return pd.Series("", table.index), numbers
    stems = [Path(str(path)).stem for path in table["path"]]
    found = [_CAMERA_FILE.fullmatch(stem) for stem in stems]
    prefix = pd.Series([m[1] if m else "" for m in found], table.index, dtype=object)
    values = [float(m[2]) if m else float("nan") for m in found]
    return prefix, pd.Series(values, table.index, dtype="float64")


def _chained(
    table: pd.DataFrame,
    series: pd.Series,
    values: pd.Series,
    gap: float,
    alone: pd.Series,
) -> pd.Series:
    """Gives consecutive photos of an animal one name if their gap is at most `gap`."""
    frame = pd.DataFrame(
        {"animal": table["identity"].astype(str), "series": series, "value": values}
    ).dropna(subset=["value"])
    frame = frame.sort_values(["animal", "series", "value"], kind="stable")
    step = frame.groupby(["animal", "series"])["value"].diff()
    number = (step.isna() | (step > gap)).cumsum()
    names = frame["animal"] + " encounter " + number.astype(str)
    return names.reindex(table.index).where(values.notna(), alone)
