"""What is wrong with a table, row by row."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import pandas as pd
from PIL import UnidentifiedImageError

from keras_involution._arguments import positive_integer
from keras_involution.whale_id._warnings import large_pictures_welcome
from keras_involution.whale_id.images import (
    MAX_PIXELS,
    in_colour,
    open_picture,
    upright_size,
)
from keras_involution.whale_id.tables._columns import UNKNOWN, is_box
from keras_involution.whale_id.tables._dates import parse_dates
from keras_involution.whale_id.tables.species import SPECIES

# Kinds that break nothing here.
WARNINGS = ("formula", "spelling")
# What begins so is a formula to a spreadsheet, unless it is a number.
_FORMULA = re.compile(r"[=@\t\r]|[+-](?!\d+(\.\d*)?$)")


@dataclass(frozen=True)
class Problem:
    """Something wrong in one row of a table.

    Args:
        row: Label of the row in the table's index.
        kind: String: "missing", "undecodable", "box", "two animals", "repeated id",
            "species", "date", or as a warning "formula" or "spelling".
        what: String, a sentence.
        meant: What should stand there, where that is known: a species or a box.
    """

    row: Any
    kind: str
    what: str
    meant: Any = None


@dataclass(frozen=True)
class _Picture:
    problem: tuple[str, str] | None
    size: tuple[int, int] = (0, 0)
    digest: str = ""


def check_table(
    table: pd.DataFrame,
    *,
    workers: int | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> list[Problem]:
    """Every broken row of a table, with the reason. Every picture is decoded.

    Args:
        table: DataFrame as `read_table` gives it.
        workers: Integer, pictures that are decoded at once; `None` is one for each
            processor.
        progress: Function that passes on what it is given, one item a picture.

    Returns:
        List of `Problem`, by row. A picture counts as the same where the bytes of the
        files are, and then it may be in the table twice under two animals only with
        two different boxes. A "formula" is an `image_id` or `identity` that is right,
        but that a spreadsheet would run; a "spelling" an `identity` that differs from a
        more frequent one in capitals, blanks, hyphens or the encoding of accents alone.

    Raises:
        ValueError: If `workers` is no positive integer.

    Example:

    >>> from keras_involution.whale_id import check_table, from_wildlife
    >>> import pandas as pd
    >>> df = {"image_id": ["1"], "identity": ["A"], "path": ["nowhere.jpg"]}
    >>> check_table(from_wildlife(pd.DataFrame(df), "/photographs"))[0].kind
    'missing'
    """
    if workers is not None:
        positive_integer(workers, "workers")
    paths = list(dict.fromkeys(table["path"]))
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        pictures = dict(zip(paths, progress(pool.map(_look, paths))))
    found = [
        *_broken_pictures(table, pictures),
        *_boxes(table, pictures),
        *_two_animals(table, pictures),
        *_repeated_ids(table),
        *_species(table),
        *_dates(table),
        *_formulas(table),
        *_spellings(table),
    ]
    place = {row: i for i, row in enumerate(table.index)}
    return sorted(found, key=lambda problem: place[problem.row])


def _look(path: str) -> _Picture:
    if not os.path.isfile(path):
        return _Picture(("missing", f"there is no file {path}"))
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with large_pictures_welcome(), open_picture(path) as image:
            if image.width * image.height > MAX_PIXELS:
                reason = f"it has more than {MAX_PIXELS:,} pixels"
                return _Picture(("undecodable", f"{path}: {reason}"))
            in_colour(image)
            return _Picture(None, upright_size(image), digest)
    except UnidentifiedImageError:
        reason = "it is no picture of a known kind"
    except Exception as error:  # decoders raise whatever they like
        reason = str(error) or type(error).__name__
    return _Picture(("undecodable", f"{path}: {reason}"))


def _broken_pictures(
    table: pd.DataFrame, pictures: dict[str, _Picture]
) -> Iterator[Problem]:
    for row, path in table["path"].items():
        if (problem := pictures[path].problem) is not None:
            yield Problem(row, *problem)


def _boxes(table: pd.DataFrame, pictures: dict[str, _Picture]) -> Iterator[Problem]:
    if "bbox" not in table:
        return
    for row, path, box in zip(table.index, table["path"], table["bbox"]):
        if box is None:
            continue
        if not is_box(box):
            yield Problem(row, "box", f"the box {box!r} is not [x, y, w, h]")
        elif pictures[path].problem is None:
            yield from _box(row, box, pictures[path].size)


def _box(row: Any, box: list[float], size: tuple[int, int]) -> Iterator[Problem]:
    x, y, w, h = box
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + w, size[0]), min(y + h, size[1])
    shown = "x".join(map(str, size))
    if right - left < 1 or bottom - top < 1:
        yield Problem(row, "box", f"the box {box} shows nothing of {shown} pixels")
        return
    if (left, top, right, bottom) == (x, y, x + w, y + h):
        return
    clipped = [left, top, right - left, bottom - top]
    what = f"the box {box} leaves the {shown} pixels"
    if x < w <= size[0] and y < h <= size[1]:
        what += "; it is read as [x, y, width, height], not as two corners"
    yield Problem(row, "box", what, clipped)


def _two_animals(
    table: pd.DataFrame, pictures: dict[str, _Picture]
) -> Iterator[Problem]:
    boxes = table["bbox"] if "bbox" in table else [None] * len(table)
    same = defaultdict(list)
    for row, path, animal, box in zip(
        table.index, table["path"], table["identity"], boxes
    ):
        if animal != UNKNOWN and (digest := pictures[path].digest):
            same[digest].append((row, animal, str(box)))
    for rows in same.values():
        for row, animal, box in rows:
            others = {a for _, a, b in rows if a != animal and _overlap(b, box)}
            if others:
                names = ", ".join(sorted(others))
                what = f"the same picture as {animal} and as {names}"
                yield Problem(row, "two animals", what)


def _overlap(first: str, second: str) -> bool:
    """Whether two boxes, as text, may show the same animal: a missing box shows all."""
    return first == second or "None" in (first, second)


def _repeated_ids(table: pd.DataFrame) -> Iterator[Problem]:
    for row in table.index[table["image_id"].duplicated()]:
        what = f"image_id {table.at[row, 'image_id']!r} occurs before"
        yield Problem(row, "repeated id", what)


def _species(table: pd.DataFrame) -> Iterator[Problem]:
    """Names that resemble another, and strangers in a table of whales and dolphins."""
    if "species" not in table:
        return
    counts = Counter(table["species"].dropna())
    listed = sum(n for name, n in counts.items() if name in SPECIES)
    for name, count in counts.items():
        often = [other for other, n in counts.items() if n > 5 * count]
        close = [] if name in SPECIES else _close(name, [*SPECIES, *often])
        if name in SPECIES or not (close or 2 * listed > counts.total()):
            continue
        what = f"the species {name!r} is not known"
        what += f"; {close[0]!r} may be meant" if close else ""
        for row in table.index[table["species"] == name]:
            yield Problem(row, "species", what, close[0] if close else None)


def _close(name: str, names: list[str]) -> list[str]:
    return get_close_matches(name, names, n=1, cutoff=0.85)


def _dates(table: pd.DataFrame) -> Iterator[Problem]:
    if "date" not in table:
        return
    written = table["date"].dropna()
    for row in written.index[parse_dates(written).isna()]:
        what = f"{table.at[row, 'date']!r} is no date for sure; 2019-05-30 would be one"
        yield Problem(row, "date", what)


def _formulas(table: pd.DataFrame) -> Iterator[Problem]:
    for column in ("image_id", "identity"):
        names = table[column].astype(str)
        for row, name in names[names.str.match(_FORMULA)].items():
            what = f"the {column} {name!r} would be run as a formula by a spreadsheet"
            yield Problem(row, "formula", what)


def _spellings(table: pd.DataFrame) -> Iterator[Problem]:
    names = table["identity"].astype(str)
    counts = names.value_counts()
    usual: dict[str, str] = {}
    for name in sorted(counts.index, key=lambda name: (-counts[name], name)):
        usual.setdefault(_plain(name), name)
    for row, name in names.items():
        if (other := usual[_plain(name)]) != name:
            what = f"the identity {name!r} is written {other!r} elsewhere"
            yield Problem(row, "spelling", what)


def _plain(name: str) -> str:
    """What a person may not tell apart: `Luna 1`, `luna-1`, `LUNA_1`."""
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name).casefold())
