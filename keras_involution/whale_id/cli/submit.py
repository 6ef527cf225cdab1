"""`whale-id submit`: a file for Kaggle."""

from __future__ import annotations

from typing import Any

import click

from keras_involution._commands import reported
from keras_involution.whale_id.cli._answers import find_answers
from keras_involution.whale_id.cli._models import pair_options, search_options


@click.command()
@pair_options
@click.argument("out", type=click.Path())
@search_options
@click.option("--form", default="happywhale", show_default=True, help="Or humpback.")
@click.option("--threshold", required=True, help="File of `evaluate`, or a number.")
@click.option(
    "--pseudo-labels",
    type=(float, click.Path()),
    help="SCORE FILE: also write a table of the sure answers, for a second round.",
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
def command(
    out: str,
    form: str,
    pseudo_labels: tuple[float, str] | None,
    force: bool,
    **search: Any,
) -> None:
    """Write five labels for every photograph of QUERIES to OUT, in Kaggle's form."""
    with reported():
        from keras_involution import whale_id
        from keras_involution.whale_id._files import check_writable

        for path in (out, *(pseudo_labels or ())[1:]):
            check_writable(path, force)
        found = find_answers(**search)
        ranking, table = found.ranking, found.queries
        ids = table["image_id"].to_list()
        whale_id.write_submission(ranking, ids, out, form, force=force)
        click.echo(f"{out}: {len(ranking)} photographs")
        if pseudo_labels is not None:
            sure = whale_id.pseudo_labels(ranking, table, pseudo_labels[0])
            whale_id.write_table(sure, pseudo_labels[1], force=force)
            click.echo(f"{pseudo_labels[1]}: {len(sure)} sure answers")
