"""`whale-id train`: trains a network on photos of known animals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution._settings import setting_options
from keras_involution.whale_id.cli._devices import trained_in_processes
from keras_involution.whale_id.cli._options import table_source
from keras_involution.whale_id.config import TrainConfig, load_config

if TYPE_CHECKING:
    from keras_involution.training import Budget


LOGS = ("csv", "tensorboard", "wandb", "trackio")


@cloup.command(
    cls=Command,
    extras=("whale-id",),
    resume="To continue, run the same command with --resume.",
)
@table_source
@click.argument("folder", type=click.Path(file_okay=False))
@click.option(
    "--config", type=click.Path(exists=True, dir_okay=False), help="Settings, YAML."
)
@click.option(
    "--also",
    multiple=True,
    type=click.Path(exists=True),
    help="Another table, such as one of `submit --pseudo-labels`, read like TABLE.",
)
@click.option(
    "--embeddings",
    type=click.Path(exists=True, dir_okay=False),
    help="Vectors of the photos, as for `embed --features`. Trains a projection of "
    "them in seconds; no photo is read.",
)
@click.option(
    "--ids",
    type=click.Path(exists=True, dir_okay=False),
    help="Text file with the image_id of every vector, one per line.",
)
@click.option("--resume", is_flag=True, help="Continue the run in FOLDER.")
@click.option("--force", is_flag=True, help="Replace the run in FOLDER.")
@click.option("--devices", help="auto, a number, gpu, or names: gpu:0,gpu:1.")
@click.option(
    "--log",
    multiple=True,
    type=click.Choice(LOGS),
    help="Type of log; repeat for several.",
)
@setting_options(TrainConfig)
def command(
    table: str,
    images: str | None,
    boxes: bool,
    folder: str,
    also: tuple[str, ...],
    config: str | None,
    embeddings: str | None,
    ids: str | None,
    resume: bool,
    force: bool,
    devices: str | None,
    log: tuple[str, ...],
    **settings: Any,
) -> None:
    """Train a network on the photos of TABLE and write it to FOLDER.

    By default it fine-tunes the preset rednet_26_tiny_imagenet, which is included in
    the package, for at most 15 minutes. It prints the expected time before it starts.

    With --embeddings, the network that computed the vectors does not change; a
    projection of the vectors is trained. `whale-id embed TABLE FOLDER OUT --features
    FILE` applies it.

    Pseudo-labels enable a second round: `submit --pseudo-labels` writes the confident
    answers of the first round, and `train --also` adds them to the training photos.

    Options override --config. All settings are written to FOLDER/config.yaml.
    --early-stop monitors the rows of the split "val".

    --devices distributes every batch over several devices of this host, in separate
    processes if the backend needs them. Processes started by srun, torchrun or
    Kubernetes train together; all of them need access to FOLDER.
    """
    with reported():
        given = {name: value for name, value in settings.items() if value is not None}
        chosen = load_config(config, **given)
        if devices is not None and trained_in_processes(devices):
            click.echo(f"{folder}: trained")
            return
        from keras_involution.distribution import distribute
        from keras_involution.training.progress_line import ProgressLine, clock
        from keras_involution.whale_id import join_tables, read_table
        from keras_involution.whale_id.embeddings.features import read_features
        from keras_involution.whale_id.train import train

        if ids is not None and embeddings is None:
            raise click.UsageError("--ids needs --embeddings.")
        read = [read_table(path, images, boxes=boxes) for path in (table, *also)]
        rows = join_tables(read)
        vectors = None
        if embeddings is not None:
            vectors = read_features(embeddings, rows, ids=ids)
        spread = None if devices is None else distribute(devices, seed=chosen.seed)
        shown: list[ProgressLine] = []

        def on_start(budget: Budget, seconds: float) -> None:
            shown.append(ProgressLine(budget))
            limit = (
                f", and at most {chosen.minutes:g} minutes" if chosen.minutes else ""
            )
            click.echo(
                f"{budget.epochs} epochs of {budget.steps_per_epoch} steps take about "
                f"{clock(seconds)}{limit}",
                err=True,
            )

        train(
            rows, chosen, folder, vectors=vectors, resume=resume, force=force, log=log,
            distribution=spread, on_start=on_start,
            on_step=lambda progress: shown[0](progress),
        )  # fmt: skip
    # Only one of several processes prints.
    for line in shown:
        click.echo(f"{folder}: {line.summary}")
