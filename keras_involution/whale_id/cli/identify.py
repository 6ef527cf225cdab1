"""`whale-id identify`: which animals the photographs may show."""

from __future__ import annotations

from typing import Any

import click

from keras_involution._commands import reported
from keras_involution.whale_id.cli._models import (
    load_pairs,
    pair_options,
    read_threshold,
    search_options,
    with_new,
)


@click.command()
@pair_options
@click.argument("out", type=click.Path())
@search_options
@click.option("--threshold", help="File of `evaluate`, or a number: calls animals new.")
@click.option(
    "--calibration",
    type=click.Path(exists=True),
    help="File of `evaluate`: adds the chance of being right.",
)
@click.option("--leave-one-out", is_flag=True, help="No photograph matches itself.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(
    out: str,
    top: int,
    reduce: str,
    head_share: float,
    threshold: str | None,
    calibration: str | None,
    leave_one_out: bool,
    force: bool,
    **pairs: Any,
) -> None:
    """Rank the animals of DATABASE for every photograph of QUERIES into OUT.

    QUERIES and DATABASE are files of `whale-id embed`; OUT is a .csv, .parquet or .npz.
    """
    with reported():
        from keras_involution.whale_id import (
            Calibration,
            identify,
            results_table,
            write_results,
        )
        from keras_involution.whale_id._files import check_writable

        check_writable(out, force)
        limit = read_threshold(threshold)
        chance = None if calibration is None else Calibration.load(calibration)
        queries, database = load_pairs(**pairs)
        ranking = identify(
            queries,
            database,
            top=top,
            reduce=reduce,
            head_share=head_share,
            leave_one_out=leave_one_out,
        )
        ranking = with_new(ranking, queries[0], limit)
        results = results_table(
            ranking,
            queries[0].table,
            database[0].table,
            None if chance is None else chance.of(ranking),
        )
        write_results(results, out, force=force)
    click.echo(f"{out}: {len(ranking)} photographs")
