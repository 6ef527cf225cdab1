"""`whale-id embed`: what a network sees in the photographs of a table."""

from __future__ import annotations

import click

from keras_involution._commands import reported
from keras_involution.whale_id.cli._options import table_source


@click.command()
@table_source
@click.argument("model", type=click.Path(exists=True))
@click.argument("out", type=click.Path(dir_okay=False))
@click.option("--flip", default="average", show_default=True, help="keep or none.")
@click.option("--head/--no-head", default=False, help="Add the logits of the head.")
@click.option("--margin", type=float, help="Widens boxes; else as in training.")
@click.option("--batch-size", default=32, show_default=True, help="Photographs a step.")
@click.option(
    "--on-error", type=click.Choice(["skip", "stop"]), default="stop", show_default=True
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(
    table: str,
    images: str | None,
    boxes: bool,
    model: str,
    out: str,
    flip: str,
    head: bool,
    margin: float | None,
    batch_size: int,
    on_error: str,
    force: bool,
) -> None:
    """Write the embeddings of the photographs of TABLE to OUT (.npz, .parquet, .csv).

    MODEL is the folder of `whale-id train` or a `.keras` file.
    """
    with reported():
        from keras_involution.whale_id import read_table
        from keras_involution.whale_id._files import check_outputs
        from keras_involution.whale_id.cli._progress import Progress
        from keras_involution.whale_id.embed import embed
        from keras_involution.whale_id.embeddings import SUFFIXES
        from keras_involution.whale_id.runs import load_run

        check_outputs(force, out=(out, SUFFIXES))
        rows = read_table(table, images, boxes=boxes)
        run = load_run(model)
        passes = 2 if flip == "keep" else 1
        with Progress("Photographs", passes * len(rows)) as progress:
            embeddings, left_out = embed(
                run.network,
                rows,
                margin=run.margin if margin is None else margin,
                batch_size=batch_size,
                flip=flip,
                head=run.head if head else None,
                on_error=on_error,
                on_batch=lambda number: progress.bar.update(number),
            )
        embeddings.save(out, force=force)
    for reason in left_out.values():
        click.echo(f"skipped {reason}", err=True)
    click.echo(f"{out}: {len(embeddings)} photographs, {embeddings.features.shape[1]}")
