"""Counts of animals, photos and species, as tables."""

from __future__ import annotations

import pandas as pd

from keras_involution.whale_id.tables import UNKNOWN
from keras_involution.whale_id.tables._dates import parse_dates
from keras_involution.whale_id.tables.species import SPECIES, is_whale_by_name

WHALE, DOLPHIN = "whale by name", "other (dolphins)"


def count_tables(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Counts of a table of photos, each sorted for reading.

    Args:
        table: DataFrame as returned by `read_table`.

    Returns:
        Dictionary of DataFrames with a `name` and counts: "animals" (known ones, most
        photographed first), "photos per animal", and, if the table has the columns,
        "species", "whale or dolphin", "split", "viewpoint" and "years".
    """
    known = table[table["identity"] != UNKNOWN]
    counts = {"animals": _sizes(known["identity"])}
    each = counts["animals"]["photos"].value_counts().sort_index()
    counts["photos per animal"] = pd.DataFrame(
        {"photos": each.index, "animals": each.to_numpy()}
    )
    if "species" in table and table["species"].notna().any():
        counts |= _species(table, known)
    for column in ("split", "viewpoint"):
        if column in table and table[column].notna().any():
            counts[column] = _sizes(table[column].dropna())
    if "date" in table:
        dates = parse_dates(table["date"].dropna())
        if dates.notna().any():
            years = dates.dropna().dt.year.astype(str)
            counts["years"] = _sizes(years).sort_values("name", ignore_index=True)
    return counts


def _sizes(values: pd.Series) -> pd.DataFrame:
    """Most frequent first, then by name."""
    sizes = values.astype(str).value_counts().rename_axis("name")
    table = sizes.rename("photos").reset_index()
    return table.sort_values(
        ["photos", "name"], ascending=[False, True], ignore_index=True
    )


def _species(table: pd.DataFrame, known: pd.DataFrame) -> dict[str, pd.DataFrame]:
    species = _sizes(table["species"].dropna())
    animals = known.groupby("species")["identity"].nunique()
    species["animals"] = species["name"].map(animals).fillna(0).astype(int)
    if not species["name"].isin(SPECIES).any():
        return {"species": species}
    whales = species["name"].map(is_whale_by_name)
    groups = whales.map({True: WHALE, False: DOLPHIN}).rename("name")
    columns = ["photos", "animals"]
    return {
        "species": species,
        "whale or dolphin": species.groupby(groups)[columns].sum().reset_index(),
    }
