"""`whale-id split`: who trains and who tests."""

from __future__ import annotations

from typing import Any

import click

from keras_involution._commands import reported
from keras_involution.whale_id.cli._options import table_source


@click.command()
@table_source
@click.argument("out", type=click.Path())
@click.option(
    "--protocol",
    default="closed",
    show_default=True,
    help="closed, open, disjoint, folds, time or given.",
)
@click.option("--test", default=0.2, show_default=True, help="Share in the test.")
@click.option("--new", default=0.1, show_default=True, help="Share of new animals.")
@click.option("--seed", default=0, show_default=True, help="Another split.")
@click.option("--encounters", help="Column whose values stay on one side.")
@click.option("--folds", default=5, show_default=True, help="Number of folds.")
@click.option("--fold", default=0, show_default=True, help="The fold that is tested.")
@click.option("--cutoff", help="First day of the test; else by --test.")
@click.option("--given", default="split", help="Column for the protocol given.")
@click.option("--column", default="split", show_default=True, help="Column to write.")
@click.option("--within", help="COLUMN=VALUE: split these rows only.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(
    table: str,
    images: str | None,
    boxes: bool,
    out: str,
    within: str | None,
    force: bool,
    column: str,
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
        result = split_table(rows, column=column, within=part, **options)
        write_table(result, out, force=force)
    counts = result.groupby(column)["identity"].agg(["size", "nunique"])
    for name, (photographs, animals) in counts.iterrows():
        part_name = str(name) or "neither"
        click.echo(f"{part_name:<10} {photographs:>7} photographs {animals:>6} animals")


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise click.BadParameter("must be COLUMN=VALUE", param_hint="--within")
    return name, value
