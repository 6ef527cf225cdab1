"""`whale-id split`: splits a table into training and test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.whale_id.cli._options import force_option, table_source

if TYPE_CHECKING:
    import pandas as pd

_ENCOUNTERS = "_encounter_"


@cloup.command(cls=Command, extras=("whale-id",), backend=False)
@table_source
@click.argument("out", type=click.Path())
@click.option(
    "--protocol",
    default="closed",
    type=click.Choice(["closed", "open", "disjoint", "folds", "time", "given"]),
    help="Content of the test: known animals (closed), known and new ones (open), "
    "new ones only (disjoint), one of --folds, the last days (time), or what --given "
    "says.",
)
@click.option("--test", default=0.2, help="Fraction of photos in the test split.")
@click.option("--new", default=0.1, help="Fraction of new animals.")
@click.option("--seed", default=0, help="Seed; another value gives another split.")
@click.option(
    "--encounters",
    default="auto",
    help="Column whose values are not divided between the sides. auto uses encounter, "
    "date, the time in the photos or the frame counter; none ignores encounters.",
)
@click.option("--hours", default=1.0, help="Gap that ends an encounter, by time.")
@click.option("--frames", default=10, help="Gap that ends an encounter, by counter.")
@click.option(
    "--duplicates/--no-duplicates",
    default=True,
    help="Find copies and near copies, and keep them on the same side.",
)
@click.option("--folds", default=5, help="Number of folds.")
@click.option("--fold", default=0, help="The fold that is tested.")
@click.option("--cutoff", help="First day of the test split (default: from --test).")
@click.option("--given", default="split", help="Column for --protocol given.")
@click.option("--column", default="split", help="Column to write.")
@click.option("--within", help="COLUMN=VALUE: split only these rows.")
@force_option
def command(
    table: str,
    images: str | None,
    boxes: bool,
    out: str,
    within: str | None,
    force: bool,
    column: str,
    encounters: str,
    hours: float,
    frames: int,
    duplicates: bool,
    **options: Any,
) -> None:
    """Split TABLE into train and test, and write it to OUT (CSV or parquet).

    The split depends on hashes, so it is the same on every machine. For a validation
    split inside the training part, use --column val_split --within split=train.
    """
    with reported():
        from keras_involution._files import check_outputs
        from keras_involution.whale_id import read_table, split_table, write_table
        from keras_involution.whale_id.tables.write import SUFFIXES

        check_outputs(force, out=(out, SUFFIXES))
        rows = read_table(table, images, boxes=boxes)
        part = None if within is None else _pair(within)
        named = _with_encounters(rows, encounters, hours, frames)
        result = split_table(
            named,
            column=column,
            within=part,
            encounters=None if encounters == "none" else _ENCOUNTERS,
            together=_duplicates(rows) if duplicates else None,
            **options,
        )
        write_table(result.drop(columns=_ENCOUNTERS), out, force=force)
    counts = result.groupby(column)["identity"].agg(["size", "nunique"])
    for name, (photos, animals) in counts.iterrows():
        part_name = str(name) or "neither"
        click.echo(f"{part_name:<10} {photos:>7} photos {animals:>6} animals")


def _with_encounters(
    rows: pd.DataFrame, encounters: str, hours: float, frames: int
) -> pd.DataFrame:
    """The table with an additional column for the encounter of every row."""
    from keras_involution.whale_id.splits import find_encounters

    asked = None if encounters == "none" else encounters
    found = find_encounters(rows, asked, hours=hours, frames=frames, files=True)
    if found.found:
        count = found.names.nunique()
        click.echo(f"{count} encounters by {found.source}, each kept on one side")
    else:
        click.echo(
            "Encounters are not known: photos of one sighting may be on both sides, "
            "and the scores may be too high.",
            err=True,
        )
    return rows.assign(**{_ENCOUNTERS: found.names})


def _duplicates(rows: pd.DataFrame) -> pd.DataFrame:
    """Finds copies and reports them."""
    from keras_involution.whale_id.cli._progress import Progress
    from keras_involution.whale_id.splits import find_copies

    with Progress("Looking for copies", len(rows)) as progress:
        found = find_copies(rows, lambda number: progress.bar.update(number))
    for kind, pairs in found.groupby("kind"):
        ids = rows["image_id"].to_numpy(object)
        names = [
            f"{ids[a]} = {ids[b]}" for a, b in zip(pairs["first"], pairs["second"])
        ]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        shown = ", ".join(names[:5])
        click.echo(f"{len(names)} {kind} pairs, each kept on one side: {shown}{more}")
    return found


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise click.BadParameter("must be COLUMN=VALUE", param_hint="--within")
    return name, value
