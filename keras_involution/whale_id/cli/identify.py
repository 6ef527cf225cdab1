"""`whale-id identify`: which animals the photographs may show."""

from __future__ import annotations

from typing import Any

import click

from keras_involution._commands import reported
from keras_involution.whale_id.cli._answers import answer_options, find_answers
from keras_involution.whale_id.cli._models import files_of, pair_options, search_options


@click.command()
@pair_options
@click.argument("out", type=click.Path())
@search_options
@answer_options
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(out: str, force: bool, **search: Any) -> None:
    """Rank the animals of DATABASE for every photograph of QUERIES into OUT.

    QUERIES and DATABASE are files of `whale-id embed`; OUT is a .csv, .parquet or .npz.
    """
    with reported():
        from keras_involution._files import check_outputs
        from keras_involution.whale_id import results_table, write_results
        from keras_involution.whale_id.retrieve.results import SUFFIXES

        check_outputs(force, *files_of(search), out=(out, SUFFIXES))
        found = find_answers(**search)
        results = results_table(
            found.ranking, found.queries, found.database, found.chances
        )
        write_results(results, out, force=force)
    click.echo(f"{out}: {len(found.ranking)} photographs")
