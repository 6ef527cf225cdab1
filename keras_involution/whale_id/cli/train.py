"""`whale-id train`: a network from photographs of known animals."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

import click

from keras_involution._commands import reported
from keras_involution.whale_id.cli._devices import trained_in_processes
from keras_involution.whale_id.cli._options import table_source
from keras_involution.whale_id.config import TrainConfig, load_config

if TYPE_CHECKING:
    from keras_involution.whale_id.train import Progress


def _setting_options(command: Any) -> Any:
    """A flag for each setting; lists are written as `16,32,64`."""
    kinds = typing.get_type_hints(TrainConfig)
    for setting in reversed(dataclasses.fields(TrainConfig)):
        default = setting.default
        shown = "none" if default is None else default
        command = click.option(
            f"--{setting.name.replace('_', '-')}",
            setting.name,
            type=_flag_type(kinds[setting.name]),
            help=f"{setting.metadata['help']}  [default: {shown}]",
        )(command)
    return command


def _flag_type(kind: Any) -> Any:
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    plain = next(option for option in options if option is not type(None))
    return _INTEGERS if typing.get_origin(plain) is list else plain


class _Integers(click.ParamType):
    name = "INTEGER,..."

    def convert(self, value: Any, param: Any, context: Any) -> Any:
        try:
            return [int(item) for item in value.split(",")]
        except ValueError:
            return self.fail(f"{value!r} is no list of integers", param, context)


_INTEGERS = _Integers()


@click.command()
@table_source
@click.argument("folder", type=click.Path(file_okay=False))
@click.option(
    "--config", type=click.Path(exists=True, dir_okay=False), help="Settings, YAML."
)
@click.option(
    "--also",
    multiple=True,
    type=click.Path(exists=True),
    help="Further table, as of `submit --pseudo-labels`, read like TABLE.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in FOLDER.")
@click.option("--force", is_flag=True, help="Replace the run in FOLDER.")
@click.option("--devices", help="auto, a number, gpu, or names: gpu:0,gpu:1.")
@click.option("--track", type=click.Choice(["wandb", "trackio"]), help="Tracker.")
@_setting_options
def command(
    table: str,
    images: str | None,
    boxes: bool,
    folder: str,
    also: tuple[str, ...],
    config: str | None,
    resume: bool,
    force: bool,
    devices: str | None,
    track: str | None,
    **settings: Any,
) -> None:
    """Train a network on the photographs of TABLE and write it to FOLDER.

    Pseudo-labels are a second round: `submit --pseudo-labels` writes what the first
    one is sure of, and `train --also` takes it.

    Flags replace what --config says; all settings are written to FOLDER/config.yaml.
    Rows of the split "val" are what --early-stop looks at.

    --devices spreads every batch over several devices of this host, in processes of
    their own where the backend wants that. Under srun, torchrun or Kubernetes the
    processes that they start train together; FOLDER is one that all of them see.
    """
    with reported():
        given = {name: value for name, value in settings.items() if value is not None}
        chosen = load_config(config, **given)
        if devices is not None and trained_in_processes(devices):
            click.echo(f"{folder}: trained")
            return
        from keras_involution.distribution import distribute
        from keras_involution.whale_id import join_tables, read_table
        from keras_involution.whale_id.train import train

        read = [read_table(path, images, boxes=boxes) for path in (table, *also)]
        rows = join_tables(read)
        line = _Line()
        spread = None if devices is None else distribute(devices, seed=chosen.seed)
        train(
            rows, chosen, folder, resume=resume, force=force, track=track,
            distribution=spread, on_progress=line,
        )  # fmt: skip
    click.echo(f"{folder}: {line.ended}")


class _Line:
    """One line on a terminal that is written over; a line an epoch elsewhere."""

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None
        self.ended = "nothing was left to do"

    def __call__(self, progress: Progress, total: int, epoch: int) -> None:
        if self.first is None:
            self.first = (progress.step - 1, 0.0)
            self.begun = progress.seconds
        done = max(progress.step - self.first[0] - 1, 1)
        each = (progress.seconds - self.begun) / done
        left = _clock(each * (total - progress.step))
        figures = progress.history[-1] if progress.history else {}
        shown = {k: v for k, v in figures.items() if k not in ("epoch", "seconds")}
        text = ", ".join(f"{name} {value:.3f}" for name, value in shown.items())
        place = f"epoch {-(-progress.step // epoch)} of {total // epoch}"
        self.ended = f"{place}, {text}, {_clock(progress.seconds)}" + (
            f", stopped: {progress.stopped}" if progress.stopped else ""
        )
        if sys.stderr.isatty():
            step = f"step {progress.step} of {total}"
            click.echo(
                f"\r\x1b[K{place}, {step}, {left} left, {text}", nl=False, err=True
            )
        elif progress.step % epoch == 0:
            click.echo(f"{place}, {left} left, {text}", err=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
