"""Helpers shared by the commands `train`, `resume` and `split`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from keras_involution.distribution import Distribution

devices_option = click.option(
    "--devices", help="Devices to use: auto, a number, gpu, or gpu:0,gpu:1."
)


def train_to_the_end(run: Path, distribution: Distribution | None = None) -> None:
    """Resumes a run, shows its progress, and prints the paths of its presets."""
    import keras

    from keras_involution.training import resume_classifier
    from keras_involution.training.classifier.folder import BEST, LAST
    from keras_involution.training.progress_line import ProgressLine

    trainer = resume_classifier(run, distribution)
    is_main = distribution is None or distribution.is_main_process
    if is_main:
        budget = trainer.budget
        click.echo(
            f"{trainer.model.count_params() / 1e6:.2f} M parameters on "
            f"{keras.config.backend()}, step {trainer.progress.step} of {budget.steps}"
        )
    line = ProgressLine(trainer.budget)
    trainer.run(line if is_main else None)
    if is_main:
        click.echo(f"{line.summary}\nPresets: {run / BEST} and {run / LAST}")


def counted(splits: list[str]) -> str:
    """Formats the number of images in each split, such as "70 train, 10 val"."""
    return ", ".join(f"{count} {split}" for split, count in Counter(splits).items())


def warn(text: str) -> None:
    click.secho(text, fg="yellow", err=True)
