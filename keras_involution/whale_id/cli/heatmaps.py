"""`whale-id heatmaps`: kernel heat maps of photos."""

from __future__ import annotations

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.whale_id.cli._options import (
    batch_size_option,
    force_option,
    on_error_option,
    table_source,
)


@cloup.command(cls=Command, extras=("whale-id",))
@table_source
@click.argument("model")
@click.argument("out", type=click.Path(dir_okay=False))
@click.option(
    "--layer", help="Name of an involution (default: in the last but one stage)."
)
@batch_size_option
@on_error_option("stop")
@force_option
def command(
    table: str,
    images: str | None,
    boxes: bool,
    model: str,
    out: str,
    layer: str | None,
    batch_size: int,
    on_error: str,
    force: bool,
) -> None:
    """Write the kernel heat maps of the photos of TABLE to OUT (.npz).

    `whale-id report --heatmaps OUT` draws them over the photos. MODEL is the folder
    of `whale-id train`, a `.keras` file, or a preset (name, folder or hf://user/name).
    """
    with reported():
        from keras_involution._files import check_outputs
        from keras_involution.whale_id import Heatmaps, kernel_maps, read_table
        from keras_involution.whale_id.cli._progress import Progress
        from keras_involution.whale_id.report.heatmaps import SUFFIXES
        from keras_involution.whale_id.runs import load_run

        check_outputs(force, out=(out, SUFFIXES))
        rows = read_table(table, images, boxes=boxes)
        network = load_run(model).network
        with Progress("Photos", len(rows)) as progress:
            maps, left_out = kernel_maps(
                network,
                rows,
                layer=layer,
                batch_size=batch_size,
                on_error=on_error,
                on_batch=lambda number: progress.bar.update(number),
            )
        Heatmaps(maps).save(out, force=force)
    for reason in left_out.values():
        click.echo(f"skipped {reason}", err=True)
    click.echo(f"{out}: {len(maps)} heat maps")
