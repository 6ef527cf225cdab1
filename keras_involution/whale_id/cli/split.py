"""`whale-id split`: who trains and who tests."""

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
    help="What the test holds: known animals (closed), known and new ones (open), "
    "new ones only (disjoint), one of --folds, the last days (time), or what --given "
    "says.",
)
@click.option("--test", default=0.2, help="Fraction in the test.")
@click.option("--new", default=0.1, help="Fraction of new animals.")
@click.option("--seed", default=0, help="Another split.")
@click.option(
    "--encounters",
    default="auto",
    help="Column whose values stay on one side; auto takes encounter, date, the time "
    "in the photos or the counter of the camera; none leaves encounters apart.",
)
@click.option("--hours", default=1.0, help="Gap that ends an encounter, by time.")
@click.option("--frames", default=10, help="Gap that ends an encounter, by counter.")
@click.option(
    "--duplicates/--no-duplicates",
    default=True,
    help="Find copies and near copies, and keep them on one side.",
)
@click.option("--folds", default=5, help="Number of folds.")
@click.option("--fold", default=0, help="The fold that is tested.")
@click.option("--cutoff", help="First day of the test; else by --test.")
@click.option("--given", default="split", help="Column for the protocol given.")
@click.option("--column", default="split", help="Column to write.")
@click.option("--within", help="COLUMN=VALUE: split these rows only.")
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
    """Write TABLE to OUT (CSV or parquet) with a column that says train or test.

    Hashes decide: the result is the same on every machine. A validation split inside
    the training part: --column val_split --within split=train.
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
    """The table with the encounter of every row in a column of its own."""
    from keras_involution.whale_id.splits import find_encounters

    asked = None if encounters == "none" else encounters
    found = find_encounters(rows, asked, hours=hours, frames=frames, files=True)
    if found.found:
        count = found.names.nunique()
        click.echo(f"{count} encounters by {found.source} stay on one side each")
    else:
        click.echo(
            "Encounters are not known: photos of one sighting may stand on both "
            "sides, and the scores may be too high.",
            err=True,
        )
    return rows.assign(**{_ENCOUNTERS: found.names})


def _duplicates(rows: pd.DataFrame) -> pd.DataFrame:
    """Copies, named."""
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
        click.echo(f"{len(names)} {kind} pairs stay on one side each: {shown}{more}")
    return found


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise click.BadParameter("must be COLUMN=VALUE", param_hint="--within")
    return name, value
