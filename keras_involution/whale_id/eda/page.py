"""The HTML page about a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_involution._files import check_outputs
from keras_involution.whale_id.eda import plots
from keras_involution.whale_id.eda.counts import count_tables
from keras_involution.whale_id.eda.plots import Plot
from keras_involution.whale_id.metrics.reliability import require_matplotlib
from keras_involution.whale_id.pages import (
    SUFFIXES,
    Thumbnail,
    Thumbnails,
    render,
    write_page,
)
from keras_involution.whale_id.splits._units import in_hash_order
from keras_involution.whale_id.tables import UNKNOWN

_SAMPLES, _SHEETS, _SHEET_SIZE, _SIZES, _BARS = 24, 10, 12, 2000, 40
_TITLES = {"split": "Split", "viewpoint": "Viewpoint", "years": "Years"}


def write_eda(
    table: pd.DataFrame,
    path: str | Path,
    *,
    title: str = "A table of photos",
    on_error: str = "skip",
    warn: Callable[[str], Any] | None = None,
    force: bool = False,
) -> list[str]:
    """Writes one HTML file that shows a table: counts, sizes, photos.

    The file is self-contained. Sizes are measured on at most 2,000 photos, and 24
    photos are shown as a sample. Both are chosen by hashes of the ids.

    Args:
        table: DataFrame as returned by `read_table`.
        path: File.
        title: String.
        on_error: String. If a photo cannot be read, `"skip"` leaves it out and reports
            it, and `"stop"` raises an error.
        warn: Function that is called with a message for every photo left out.
        force: Boolean, whether to replace an existing file.

    Returns:
        List of strings, the photos that were left out and the reasons.

    Raises:
        ValueError: If the name does not end in `.html`, the file exists and `force` is
            false, matplotlib is missing, or a photo cannot be read and `on_error` is
            "stop".
    """
    check_outputs(force, path=(path, SUFFIXES))
    require_matplotlib()
    thumbnails = Thumbnails(on_error, warn)
    counts = count_tables(table)
    parts = {
        "plots": list(_plots(table, counts, thumbnails)),
        "samples": _sample(table, thumbnails),
        "sheets": list(_sheets(table, counts["animals"], thumbnails)),
    }
    page = render(
        "eda",
        title=title,
        facts=_facts(table, counts),
        skipped=thumbnails.skipped,
        **parts,
    )
    write_page(path, page, force=force)
    return thumbnails.skipped


def _facts(table: pd.DataFrame, counts: dict[str, pd.DataFrame]) -> dict[str, str]:
    animals = counts["animals"]["photos"]
    unknown = int((table["identity"] == UNKNOWN).sum())
    facts = {"Photos": f"{len(table):,}", "Animals": f"{len(animals):,}"}
    if len(animals):
        once = float((animals == 1).mean())
        facts["Animals with one photo"] = f"{once:.1%}"
    facts["Photos of unknown animals"] = f"{unknown:,}"
    if "species" in counts:
        facts["Species"] = f"{len(counts['species']):,}"
    return facts


def _plots(
    table: pd.DataFrame, counts: dict[str, pd.DataFrame], thumbnails: Thumbnails
) -> Iterator[Plot]:
    if "whale or dolphin" in counts:
        note = (
            "By name, not by taxonomy: killer, pilot, false killer and melon-headed "
            "whales are oceanic dolphins, and are counted here as whales."
        )
        yield _bars("Whale or dolphin", counts["whale or dolphin"], note=note)
    if "species" in counts:
        yield _bars("Photos per species", counts["species"])
        by_animals = counts["species"].sort_values("animals", ascending=False)
        yield _bars("Animals per species", by_animals, value="animals")
    if len(counts["animals"]):
        top = counts["animals"].head(10)
        yield _bars("The ten most photographed animals", top)
        yield plots.photos_per_animal(
            "Photos per animal",
            counts["photos per animal"],
            "Both axes are logarithmic. A network can learn an animal from one "
            "photo, but nothing can test the result.",
        )
    yield from _size_plot(table, thumbnails)
    for name, heading in _TITLES.items():
        if name in counts:
            yield _bars(heading, counts[name])


def _bars(
    heading: str,
    counts: pd.DataFrame,
    note: str = "",
    value: str = "photos",
) -> Plot:
    shown = counts.head(_BARS)
    if len(counts) > _BARS:
        note += f" The first {_BARS} of {len(counts):,}."
    names, values = shown["name"].astype(str).to_list(), shown[value].to_list()
    return plots.bars(heading, names, values, note)


def _size_plot(table: pd.DataFrame, thumbnails: Thumbnails) -> Iterator[Plot]:
    paths = in_hash_order(table["path"].astype(str), 0)[:_SIZES]
    sizes = [thumbnails.size(path) for path in paths]
    found = np.array([size for size in sizes if size is not None])
    if not len(found):
        return
    note = f"{len(found):,} of {table['path'].nunique():,} photos."
    yield plots.sizes("Sizes", found[:, 0], found[:, 1], note)


def _sample(table: pd.DataFrame, thumbnails: Thumbnails) -> list[Thumbnail]:
    chosen = in_hash_order(table["image_id"].astype(str), 0)[:_SAMPLES]
    rows = table[table["image_id"].isin(chosen)].drop_duplicates("image_id")
    rows = rows.set_index("image_id", drop=False).loc[chosen]
    return list(_photos(rows, thumbnails, "identity"))


def _sheets(
    table: pd.DataFrame, animals: pd.DataFrame, thumbnails: Thumbnails
) -> Iterator[dict[str, Any]]:
    for animal in animals["name"].head(_SHEETS):
        rows = table[table["identity"] == animal]
        more = len(rows) - _SHEET_SIZE
        count = f"{len(rows)} photos" + (f", {more} not shown" if more > 0 else "")
        shown = _photos(rows.head(_SHEET_SIZE), thumbnails, "image_id", 150)
        yield {"animal": animal, "count": count, "photos": list(shown)}


def _photos(
    rows: pd.DataFrame, thumbnails: Thumbnails, caption: str, side: int = 220
) -> Iterator[Thumbnail]:
    boxes = rows["bbox"] if "bbox" in rows else [None] * len(rows)
    for name, path, box, text in zip(
        rows["image_id"], rows["path"], boxes, rows[caption]
    ):
        yield Thumbnail(thumbnails.read(path, box, side), str(name), str(text))
