"""`whale-id embed`: computes embeddings of the photos of a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.whale_id.cli._collections import check_distinct, local_arguments
from keras_involution.whale_id.cli._devices import devices_options, worker_command
from keras_involution.whale_id.cli._options import (
    batch_size_option,
    force_option,
    keypoint_options,
    on_error_option,
    table_source,
)

if TYPE_CHECKING:
    import pandas as pd

    from keras_involution.whale_id.embeddings.job import Job

_IMAGENET_MEAN, _IMAGENET_STD = "0.485,0.456,0.406", "0.229,0.224,0.225"


class _Color(click.ParamType):
    name = "R,G,B"

    def convert(self, value: Any, param: Any, context: Any) -> tuple[float, ...]:
        try:
            numbers = [float(part) for part in str(value).replace(",", " ").split()]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 3):
            self.fail(f"{value!r} is not one number or three.", param, context)
        return tuple(numbers * (3 // len(numbers)))


_onnx_options = cloup.option_group(
    "Other embedders",
    cloup.option(
        "--model",
        "model_file",
        help="The network, instead of the argument MODEL; can be an .onnx file.",
    ),
    cloup.option("--size", type=int, help="Image height and width for an .onnx file."),
    cloup.option(
        "--mean",
        type=_Color(),
        default=_IMAGENET_MEAN,
        show_default=True,
        help="Mean to subtract from pixels in [0, 1], for an .onnx file.",
    ),
    cloup.option(
        "--std",
        type=_Color(),
        default=_IMAGENET_STD,
        show_default=True,
        help="Standard deviation to divide by, for an .onnx file.",
    ),
    cloup.option(
        "--features",
        type=click.Path(exists=True, dir_okay=False),
        help="Vectors made elsewhere: .npy, .npz, .parquet, .csv, or features of "
        "wildlife-tools (.pkl). MODEL is then a run of `train --embeddings`, or left "
        "out.",
    ),
    cloup.option(
        "--ids",
        type=click.Path(exists=True, dir_okay=False),
        help="Text file with the image_id of every vector, one per line.",
    ),
)


@cloup.command(
    cls=Command,
    extras=("whale-id",),
    resume="Run the same command again to continue.",
)
@table_source
@click.argument("model", required=False)
@click.argument("out", type=click.Path(), required=False)
@click.option(
    "--flip",
    type=click.Choice(["average", "keep", "none"]),
    default="average",
    help="Mirrored photos: average both embeddings, keep both, or do not use them.",
)
@click.option(
    "--head/--no-head", default=False, help="Also write the logits of the head."
)
@click.option(
    "--box-margin", type=float, help="Margin around boxes (default: as in training)."
)
@batch_size_option
@on_error_option("stop")
@click.option("--append", is_flag=True, help="Embed only photos that are not in OUT.")
@force_option
@keypoint_options
@_onnx_options
@devices_options
def command(table: str, images: str | None, boxes: bool, **options: Any) -> None:
    """Write the embeddings of the photos of TABLE to OUT.

    MODEL is the folder of `whale-id train`, a `.keras` file, a preset (name, folder or
    hf://user/name) or an `.onnx` file; it can also be given as --model. OUT is an .npz,
    .parquet or .csv file, or a folder that grows with every TABLE.

    An .npz file or a folder also stores keypoints with int8 descriptors (58 kB per
    photo for 800 keypoints), so that later commands do not extract them again. .parquet
    and .csv files store only the embeddings.

    With --features no photo is read. A file of `whale-id embed` keeps its
    keypoints; MODEL, a run of `whale-id train --embeddings`, projects the vectors.

    Results are stored in the folder OUT.shards until all photos are done. If the
    command is interrupted or a process dies, the same command continues with the
    missing photos.
    """
    if options["model_file"] and options["out"] is not None:
        raise click.UsageError("MODEL and --model cannot be used together.")
    if options["model_file"] or (options["features"] and options["out"] is None):
        options["out"] = options["model"]
        options["model"] = options["model_file"]
    if options["out"] is None:
        raise click.UsageError("Give TABLE, MODEL and OUT.")
    with reported():
        _embed(table, images, boxes, **options)


def _embed(table: str, images: str | None, boxes: bool, **options: Any) -> None:
    from keras_involution._files import check_outputs, known_suffix
    from keras_involution.whale_id import read_table
    from keras_involution.whale_id.embeddings.embeddings import SUFFIXES

    out = Path(options["out"])
    if out.suffix:
        known_suffix(out, SUFFIXES)
        force = options["force"] or options["append"] or options["worker"]
        check_outputs(force, table, out=(out, SUFFIXES))
    rows = read_table(table, images, boxes=boxes)
    check_distinct(rows)
    if options["features"]:
        _read(rows, out, options)
        return
    from keras_involution.whale_id.embeddings.table import embed_table, work

    job = _job(rows, out, options)
    if options["worker"]:
        work(job)
        return
    found, left_out = embed_table(
        job,
        worker_command(table, images, boxes, options),
        options["devices"],
        append=options["append"],
        force=options["force"],
        ray_address=options["ray_address"],
        on_rows=lambda done, of: click.echo(f"{done} of {of} photos", err=True),
    )
    _report(out, len(found), found.features.shape[1], left_out)


def _job(rows: pd.DataFrame, out: Path, options: dict[str, Any]) -> Job:
    from keras_involution.whale_id.embeddings.embedders import Source
    from keras_involution.whale_id.embeddings.job import Job

    look = (options["size"], options["mean"], options["std"])
    names = ("flip", "box_margin", "head", "on_error", "batch_size", "shard_size")
    chosen = {name: options[name] for name in names}
    local = local_arguments(options)
    return Job(rows, Source(options["model"], *look), out, local=local, **chosen)


def _read(rows: pd.DataFrame, out: Path, options: dict[str, Any]) -> None:
    from keras_involution.whale_id.embeddings.features import read_features

    found = read_features(options["features"], rows, ids=options["ids"])
    if options["model"] is not None:
        from keras_involution.whale_id.embeddings.projected import projected

        found = projected(found, options["model"], options["head"])
    found.save(out, force=options["force"])
    _report(out, len(found), found.features.shape[1], {})


def _report(out: Path, count: int, size: int, left_out: dict[str, str]) -> None:
    for reason in left_out.values():
        click.echo(f"skipped {reason}", err=True)
    click.echo(f"{out}: {count} photos, {size}")
