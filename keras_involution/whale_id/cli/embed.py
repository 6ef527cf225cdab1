"""`whale-id embed`: what a network sees in the photographs of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keras_involution._commands import reported
from keras_involution.whale_id.cli._devices import devices_options, worker_command
from keras_involution.whale_id.cli._options import table_source

if TYPE_CHECKING:
    import pandas as pd


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
@devices_options
def command(table: str, images: str | None, boxes: bool, **options: Any) -> None:
    """Write the embeddings of the photographs of TABLE to OUT (.npz, .parquet, .csv).

    MODEL is the folder of `whale-id train` or a `.keras` file.

    With --devices a large TABLE is embedded in parts, in the folder OUT.parts: where a
    process dies, the same command goes on with what is missing.
    """
    with reported():
        from keras_involution._files import check_outputs
        from keras_involution.whale_id import read_table
        from keras_involution.whale_id.embeddings import SUFFIXES

        if options["share"] is None:
            out = (options["out"], SUFFIXES)
            check_outputs(options["force"], table, out=out)
        rows = read_table(table, images, boxes=boxes)
        if options["share"] is not None:
            _work(rows, **options)
        elif options["devices"] is None:
            _embed(rows, **options)
        else:
            _embed_in_parts(rows, (table, images, boxes), **options)


def _embed(
    rows: pd.DataFrame,
    *,
    model: str,
    out: str,
    flip: str,
    head: bool,
    margin: float | None,
    batch_size: int,
    on_error: str,
    force: bool,
    **_: Any,
) -> None:
    """All photographs in this process."""
    from keras_involution.whale_id.cli._progress import Progress
    from keras_involution.whale_id.embed import embed
    from keras_involution.whale_id.runs import load_run

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
    _report(out, len(embeddings), embeddings.features.shape[1], left_out)


def _embed_in_parts(
    rows: pd.DataFrame, source: tuple[str, str | None, bool], **options: Any
) -> None:
    """All photographs in processes of their own."""
    from keras_involution.whale_id.parts import embed_on_devices
    from keras_involution.whale_id.runs import run_files

    files = run_files(options["model"])
    if options["margin"] is None:
        options["margin"] = files.margin
    joined = embed_on_devices(
        _job(rows, files, options),
        files,
        lambda share: worker_command(source, share, options),
        options["devices"],
        timeout=options["timeout"],
        force=options["force"],
    )
    if joined is not None:
        _report(options["out"], joined.photographs, joined.size, joined.left_out)


def _work(rows: pd.DataFrame, **options: Any) -> None:
    """Some of the parts, in a process that the function above has started."""
    from keras_involution.whale_id.parts import share_of, write_parts
    from keras_involution.whale_id.runs import load_run, run_files

    job = _job(rows, run_files(options["model"]), options)

    def told(number: int) -> None:
        part = job.rows(number)
        click.echo(f"rows {part.start + 1} to {part.stop} of {len(rows)}", err=True)

    numbers = share_of(job, options["share"])
    size = options["batch_size"]
    write_parts(load_run(options["model"]), job, numbers, batch_size=size, on_part=told)


def _job(rows: pd.DataFrame, files: Any, options: dict[str, Any]) -> Any:
    from keras_involution.whale_id.parts import build_job

    names = ("flip", "margin", "head", "on_error", "part_size")
    chosen = {name: options[name] for name in names}
    return build_job(rows, files, options["out"], **chosen)


def _report(out: str, count: int, size: int, left_out: dict[str, str]) -> None:
    for reason in left_out.values():
        click.echo(f"skipped {reason}", err=True)
    click.echo(f"{out}: {count} photographs, {size}")
