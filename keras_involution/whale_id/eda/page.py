"""The page of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_involution._files import check_outputs, replaced_file
from keras_involution.whale_id._pages import (
    SUFFIXES,
    Thumbnails,
    fill,
    image,
    numbers,
    require_plots,
)
from keras_involution.whale_id.eda import plots
from keras_involution.whale_id.eda.counts import count_tables
from keras_involution.whale_id.splits._units import in_hash_order
from keras_involution.whale_id.tables import UNKNOWN

_HERE = Path(__file__).parent
_SAMPLES, _SHEETS, _SHEET_PICTURES, _SIZES, _BARS = 24, 10, 12, 2000, 40
_TITLES = {"split": "Split", "viewpoint": "Viewpoint", "years": "Years"}


def write_eda(
    table: pd.DataFrame,
    path: str | Path,
    *,
    title: str = "A table of photographs",
    on_error: str = "skip",
    warn: Callable[[str], Any] | None = None,
    force: bool = False,
) -> list[str]:
    """Writes one HTML file that shows a table: counts, sizes, photographs.

    Everything is inside the file. Sizes are those of at most 2,000 photographs, and 24
    stand for all; hashes of their ids choose them.

    Args:
        table: DataFrame as `read_table` gives it.
        path: File.
        title: String.
        on_error: String: a photograph that cannot be read is left out and named
            (`"skip"`), or stops the work (`"stop"`).
        warn: Function that is told of every photograph that is left out.
        force: Boolean, whether to replace a file that is there.

    Returns:
        List of strings, the photographs that were left out, with the reasons.

    Raises:
        ValueError: If the name does not end in `.html`, the file is there and `force`
            is false, matplotlib is missing, or a photograph cannot be read and
            `on_error` is "stop".
    """
    check_outputs(force, path=(path, SUFFIXES))
    require_plots()
    thumbnails = Thumbnails(on_error, warn)
    counts = count_tables(table)
    page = fill(
        _HERE / "eda.html",
        style=(_HERE / "eda.css").read_text("utf-8"),
        title=escape(title),
        numbers=numbers(_facts(table, counts)),
        plots="\n".join(_plots(table, counts, thumbnails)),
        samples=_grid(table, thumbnails),
        sheets="\n".join(_sheets(table, counts["animals"], thumbnails)),
        skipped=_skipped(thumbnails),
    )
    with replaced_file(path, force, SUFFIXES) as draft:
        draft.write_text(page, "utf-8")
    return thumbnails.skipped


def _facts(table: pd.DataFrame, counts: dict[str, pd.DataFrame]) -> dict[str, str]:
    animals = counts["animals"]["photographs"]
    unknown = int((table["identity"] == UNKNOWN).sum())
    facts = {"Photographs": f"{len(table):,}", "Animals": f"{len(animals):,}"}
    if len(animals):
        once = float((animals == 1).mean())
        facts["Animals with one photograph"] = f"{once:.1%}"
    facts["Photographs of unknown animals"] = f"{unknown:,}"
    if "species" in counts:
        facts["Species"] = f"{len(counts['species']):,}"
    return facts


def _plots(
    table: pd.DataFrame, counts: dict[str, pd.DataFrame], thumbnails: Thumbnails
) -> Iterator[str]:
    if "whale or dolphin" in counts:
        note = (
            "By name, not by descent: killer, pilot, false killer and melon-headed "
            "whales are oceanic dolphins, and stand here with the whales."
        )
        yield _bars("Whale or dolphin", counts["whale or dolphin"], note=note)
    if "species" in counts:
        yield _bars("Photographs per species", counts["species"])
        by_animals = counts["species"].sort_values("animals", ascending=False)
        yield _bars("Animals per species", by_animals, value="animals")
    if len(counts["animals"]):
        top = counts["animals"].head(10)
        yield _bars("The ten most photographed animals", top)
        yield _plot(
            "Photographs per animal",
            plots.pictures_per_animal(counts["pictures per animal"]),
            "Both axes are logarithmic. An animal with one photograph can be learnt, "
            "and can never be tested.",
        )
    yield from _size_plot(table, thumbnails)
    for name, heading in _TITLES.items():
        if name in counts:
            yield _bars(heading, counts[name])


def _bars(
    heading: str,
    counts: pd.DataFrame,
    note: str = "",
    value: str = "photographs",
) -> str:
    shown = counts.head(_BARS)
    if len(counts) > _BARS:
        note += f" The first {_BARS} of {len(counts):,}."
    names, values = shown["name"].astype(str).to_list(), shown[value].to_list()
    return _plot(heading, plots.bars(names, values, heading), note)


def _size_plot(table: pd.DataFrame, thumbnails: Thumbnails) -> Iterator[str]:
    paths = in_hash_order(table["path"].astype(str), 0)[:_SIZES]
    sizes = [thumbnails.size(path) for path in paths]
    found = np.array([size for size in sizes if size is not None])
    if not len(found):
        return
    note = f"{len(found):,} of {table['path'].nunique():,} photographs."
    yield _plot("Sizes", plots.sizes(found[:, 0], found[:, 1]), note)


def _plot(heading: str, picture: str, note: str = "") -> str:
    text = f'<p class="soft">{escape(note)}</p>' if note else ""
    return f'<section class="plot"><h2>{escape(heading)}</h2>{text}{picture}</section>'


def _grid(table: pd.DataFrame, thumbnails: Thumbnails) -> str:
    chosen = in_hash_order(table["image_id"].astype(str), 0)[:_SAMPLES]
    rows = table[table["image_id"].isin(chosen)].drop_duplicates("image_id")
    rows = rows.set_index("image_id", drop=False).loc[chosen]
    return "".join(_figures(rows, thumbnails, "identity"))


def _sheets(
    table: pd.DataFrame, animals: pd.DataFrame, thumbnails: Thumbnails
) -> Iterator[str]:
    for animal in animals["name"].head(_SHEETS):
        rows = table[table["identity"] == animal]
        more = len(rows) - _SHEET_PICTURES
        count = f"{len(rows)} photographs" + (f", {more} not shown" if more > 0 else "")
        pictures = "".join(
            _figures(rows.head(_SHEET_PICTURES), thumbnails, "image_id", 150)
        )
        yield (
            f'<section class="sheet"><h3>{escape(animal)} <span class="soft">{count}'
            f'</span></h3><div class="grid small">{pictures}</div></section>'
        )


def _figures(
    rows: pd.DataFrame, thumbnails: Thumbnails, caption: str, side: int = 220
) -> Iterable[str]:
    boxes = rows["bbox"] if "bbox" in rows else [None] * len(rows)
    for name, path, box, text in zip(
        rows["image_id"], rows["path"], boxes, rows[caption]
    ):
        picture = image(thumbnails.read(path, box, side), str(name))
        yield f"<figure>{picture}<figcaption>{escape(str(text))}</figcaption></figure>"


def _skipped(thumbnails: Thumbnails) -> str:
    if not thumbnails.skipped:
        return ""
    rows = "".join(f"<li>{escape(reason)}</li>" for reason in thumbnails.skipped)
    return f"<h2>Left out</h2><ul>{rows}</ul>"
