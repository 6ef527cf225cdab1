"""`whale-id report`: answers for a person."""

from __future__ import annotations

from typing import Any

import click

from keras_involution._commands import reported
from keras_involution.whale_id.cli._answers import answer_options, find_answers
from keras_involution.whale_id.cli._models import pair_options, search_options


@click.command()
@pair_options
@click.option("--out", default="report.html", show_default=True, type=click.Path())
@search_options
@answer_options
@click.option(
    "--heatmaps",
    type=click.Path(exists=True),
    help="npz of maps by image_id, or folder of image_id.png.",
)
@click.option(
    "--limit",
    default=200,
    show_default=True,
    type=click.IntRange(min=1),
    help="Photographs to show.",
)
@click.option("--title", default="Which animal is it?", help="Heading of the page.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(
    out: str, heatmaps: str | None, title: str, force: bool, **search: Any
) -> None:
    """Write one HTML page: every photograph of QUERIES beside its best candidates.

    On the page a person accepts, rejects or marks a new animal, and downloads the
    decisions as CSV.
    """
    with reported():
        from keras_involution import whale_id
        from keras_involution._files import check_outputs
        from keras_involution.whale_id._pages import SUFFIXES

        check_outputs(force, out=(out, SUFFIXES))
        maps = None if heatmaps is None else whale_id.Heatmaps(heatmaps)
        found = find_answers(**search)
        whale_id.write_report(
            found.ranking,
            found.queries,
            found.database,
            out,
            top=search["top"],
            confidence=found.chances,
            heatmaps=maps,
            title=title,
            protocol=found.protocol,
            on_error=search["on_error"],
            warn=lambda text: click.echo(text, err=True),
            force=force,
        )
    count = len(found.ranking)
    click.echo(f"{out}: {count} of {count + found.left} photographs")
