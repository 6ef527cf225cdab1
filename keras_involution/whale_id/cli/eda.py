"""`whale-id eda`: exploratory analysis of a table."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.whale_id.cli._options import (
    force_option,
    on_error_option,
    table_source,
)


@cloup.command(cls=Command, extras=("whale-id", "plots"), backend=False)
@table_source
@click.option("--out", default="eda.html", type=click.Path(), help="The page.")
@click.option("--title", help="Heading of the page (default: name of TABLE).")
@click.option(
    "--track", type=click.Choice(["wandb"]), help="Also log the counts to this tracker."
)
@click.option("--project", default="whale-id", help="Project of the tracker.")
@on_error_option("skip")
@force_option
def command(
    table: str,
    images: str | None,
    boxes: bool,
    out: str,
    title: str | None,
    track: str | None,
    project: str,
    on_error: str,
    force: bool,
) -> None:
    """Write one HTML page about TABLE: counts, sizes, photos, contact sheets."""
    with reported():
        from keras_involution._files import check_outputs
        from keras_involution.whale_id import read_table, write_eda
        from keras_involution.whale_id.eda.tracking import track_eda
        from keras_involution.whale_id.pages import SUFFIXES

        check_outputs(force, out=(out, SUFFIXES))
        rows = read_table(table, images, boxes=boxes)
        write_eda(
            rows,
            out,
            title=title or Path(table).name,
            on_error=on_error,
            warn=lambda text: click.echo(text, err=True),
            force=force,
        )
        click.echo(out)
        if track is not None:
            track_eda(rows, track, project)
