"""`whale-id report`: answers for a person."""

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
@click.option("--out", default="report.html", show_default=True, type=click.Path())
@search_options
@click.option("--threshold", help="File of `evaluate`, or a number: calls animals new.")
@click.option(
    "--calibration",
    type=click.Path(exists=True),
    help="File of `evaluate`: adds the chance of being right.",
)
@click.option(
    "--heatmaps",
    type=click.Path(exists=True),
    help="npz of maps by image_id, or folder of image_id.png.",
)
@click.option("--leave-one-out", is_flag=True, help="No photograph matches itself.")
@click.option("--limit", default=200, show_default=True, help="Photographs to show.")
@click.option("--title", default="Which animal is it?", help="Heading of the page.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(
    out: str,
    top: int,
    reduce: str,
    head_share: float,
    threshold: str | None,
    calibration: str | None,
    heatmaps: str | None,
    leave_one_out: bool,
    limit: int,
    title: str,
    on_error: str,
    force: bool,
    **pairs: Any,
) -> None:
    """Write one HTML page: every photograph of QUERIES beside its best candidates.

    On the page a person accepts, rejects or marks a new animal, and downloads the
    decisions as CSV.
    """
    with reported():
        from keras_involution import whale_id
        from keras_involution.whale_id._files import check_writable

        check_writable(out, force)
        line = read_threshold(threshold)
        chance = None if calibration is None else whale_id.Calibration.load(calibration)
        maps = None if heatmaps is None else whale_id.Heatmaps(heatmaps)
        queries, database = load_pairs(**pairs, on_error=on_error)
        shown = [model.rows(range(min(limit, len(model)))) for model in queries]
        ranking = whale_id.identify(
            shown,
            database,
            top=top,
            reduce=reduce,
            head_share=head_share,
            leave_one_out=leave_one_out,
        )
        ranking = with_new(ranking, shown[0], line)
        stated = [facts.protocol for facts in (line, chance) if facts is not None]
        whale_id.write_report(
            ranking,
            shown[0].table,
            database[0].table,
            out,
            top=top,
            confidence=None if chance is None else chance.of(ranking),
            heatmaps=maps,
            title=title,
            protocol="; ".join(stated),
            on_error=on_error,
            warn=lambda text: click.echo(text, err=True),
            force=force,
        )
    click.echo(f"{out}: {len(ranking)} of {len(queries[0])} photographs")
