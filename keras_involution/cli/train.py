"""`keras-involution train`: trains a classifier on a dataset of images."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution._settings import setting_options
from keras_involution.cli._training import (
    counted,
    devices_option,
    train_to_the_end,
    warn,
)
from keras_involution.training.classifier.settings import ClassifierSettings

if TYPE_CHECKING:
    from keras_involution.training.classifier.data import ClassifierData


@cloup.command(
    cls=Command,
    extras=("train",),
    resume="Continue with: keras-involution resume FOLDER.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the run.",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False),
    help="YAML file with settings.",
)
@click.option("--force", is_flag=True, help="Replace an existing run in the folder.")
@devices_option
@setting_options(ClassifierSettings)
def command(
    output: Path, config: str | None, force: bool, devices: str | None, **given: Any
) -> None:
    """Train a RedNet or its ResNet baseline on images.

    --data is a folder with one subfolder of images for each class (as in Caltech-101
    and Caltech-256), the binary version of CIFAR-10, Tiny-ImageNet, or an .npz
    file of tiled sheets. Options override the settings of --config.

    The command writes `run.json`, `split.csv`, `steps.csv`, `epochs.csv`, checkpoints,
    and the presets `best` and `last` to the folder of the run. Validation uses whole
    images without augmentation. `keras-involution resume` continues after an
    interruption, and `keras-involution test` evaluates the best weights on the test
    images.
    """
    with reported():
        changes = {name: value for name, value in given.items() if value is not None}
        for name in ("data", "split"):
            if name in changes:
                changes[name] = str(Path(changes[name]).resolve())
        settings = ClassifierSettings.load(config, **changes)
        with contextlib.ExitStack() as stack:
            distribution = None
            if devices is not None:
                from keras_involution.distribution import distribute

                distribution = stack.enter_context(
                    distribute(devices, seed=settings.seed)
                )
            if distribution is None or distribution.is_main_process:
                _begin(output, settings, force)
            if distribution is not None:
                distribution.barrier()
            train_to_the_end(output, distribution)


def _begin(output: Path, settings: ClassifierSettings, force: bool) -> None:
    from keras_involution.training import begin_classifier

    _describe(begin_classifier(output, settings, force, warn))


def _describe(data: ClassifierData) -> None:
    for reason in data.decoded.skipped.values():
        warn(f"Skipped: {reason}")
    click.echo(f"{counted(data.splits)}, {len(data.decoded.skipped)} skipped")
    if found := data.duplicates():
        more = " ..." if len(found) > 10 else ""
        warn(
            f"{len(found)} training images duplicate validation or test images: "
            f"{', '.join(found[:10])}{more}"
        )
