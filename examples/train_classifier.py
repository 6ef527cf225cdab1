"""Trains a RedNet, or its ResNet twin, on pictures of one's own; resumes and tests it.

What it does: reads a folder of pictures for each class (Caltech-101 and Caltech-256 are
such folders), CIFAR-10's binary version, Tiny-ImageNet, or packs of them; parts them
into training, validation and test, as text in `split.csv`; trains by a recipe of
`keras_involution.training`, from scratch, from a preset, or the head of a preset alone;
validates without augmentation after every epoch and keeps the best weights; and tests
those on pictures that neither training nor validation has seen.

How long it takes: on one thread of a CPU that was busy with other work too, twelve
epochs of RedNet-26 on 350 photographs at 64 pixels took 6 minutes. `--minutes` ends the
schedule in time on a machine that is too slow for its epochs.

What to expect: `history.csv` with a row an epoch, the presets `best/` and `last/`, and
from `test` the files `test.json`, `predictions.csv`, `confusion.png`, `curves.png`. On
the 200 test photographs of `examples/data/caltech101-mini` those twelve epochs, in
batches of 20, gave an accuracy of 0.52 (chance 0.10), and six epochs of `--probe` at a
rate of 0.003, on a RedNet-26 that had begun to learn Tiny-ImageNet, 0.68: both before
runs took the statistics of normalisation over whole pictures at their end, and before
the rate followed its schedule within the first epoch.

Commands, from the root of the repository:

    export KERAS_BACKEND=torch
    python -m examples.train_classifier split --data 101_ObjectCategories \
        --leave-out BACKGROUND_Google --output split.csv \
        --per-class 25-train,5-val,50-test
    python -m examples.train_classifier train --data 101_ObjectCategories \
        --leave-out BACKGROUND_Google --split split.csv --output run --epochs 30
    python -m examples.train_classifier resume run        # after any interruption
    python -m examples.train_classifier test run

Every picture is stretched to a square, or cut to its middle square where a preset given
by `--from-preset` prepares its pictures so. It is kept in `run/cache`, a seventh larger
than `--image-size` where it is as large itself.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click
import keras
from rich.console import Console

from examples._training import folder as names
from examples._training import plots, splits
from examples._training.choices import Choices
from examples._training.classifier import begin, continued
from examples._training.datasets import EXPECTED, open_collection
from examples._training.logs import TRACKERS, open_trackers
from examples._training.measured import measured
from keras_involution.training import RECIPES

console = Console(highlight=False, soft_wrap=True)
DEPTHS = ("26", "38", "50", "101", "152")
PATH, PRESENT = click.Path(path_type=Path), click.Path(exists=True, path_type=Path)


class Commands(click.Group):
    """What is wrong with what a person wrote is said in a line."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands, help="Train a RedNet or a ResNet on pictures.")
def main() -> None:
    pass


data_option = click.option(
    "--data", type=PRESENT, required=True, help=" ".join(EXPECTED.split())
)
leave_out_option = click.option(
    "--leave-out", multiple=True, help="A class that is not wanted; repeat for more."
)


@main.command("split")
@data_option
@leave_out_option
@click.option("--output", type=PATH, required=True, help="The table to write.")
@click.option("--shares", default="0.7,0.1,0.2", show_default=True)
@click.option("--per-class", help="Instead of shares, as 25-train,5-val,50-test.")
@click.option("--from-indices", type=PRESENT, help="Instead: a stored split, .npz.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--force", is_flag=True, help="Replace the table if it is there.")
def split_command(
    data: Path,
    leave_out: tuple[str, ...],
    output: Path,
    shares: str,
    per_class: str | None,
    from_indices: Path | None,
    seed: int,
    force: bool,
) -> None:
    """Part the pictures into train, val and test, class by class.

    The table has the columns `name` and `split` and is the same on every machine. Parts
    that the data give stay; with an official test part, validation is taken out of the
    training pictures. `--per-class` gives every class as many training pictures as it
    says, and to test and validate as many as are left, up to their number.

    `--from-indices` reads the arrays `train` and `val` of row numbers, in the order of
    torchvision's Caltech256: folders by name, files by name. The stored `val` becomes
    the test part, and validation is taken out of the stored `train`.
    """
    if output.exists() and not force:
        raise ValueError(f"{output} exists; `--force` replaces it.")
    if per_class and from_indices:
        raise ValueError("Choose one of `--per-class` and `--from-indices`.")
    collection = open_collection(data, leave_out)
    wanted = splits.shares_of(shares)
    if from_indices:
        val_share = wanted[1] / (wanted[0] + wanted[1])
        parts = splits.split_of_indices(collection, from_indices, val_share, seed)
    elif per_class:
        counts = splits.counts_of(per_class)
        parts = splits.split_by_counts(collection, counts, seed)
    else:
        parts = splits.split_by_shares(collection, wanted, seed)
    splits.write_split(output, collection.names, parts)
    if collection.empty:
        _warn(collection.emptiness)
    console.print(
        f"{collection.kind}, {len(collection.class_names)} classes: {_counted(parts)}."
    )


@main.command("train")
@data_option
@leave_out_option
@click.option("--output", type=PATH, required=True, help="Folder of the run.")
@click.option("--split", type=PRESENT, help="A table as of `split`; else a new one.")
@click.option("--model", type=click.Choice(("rednet", "resnet")), default="rednet")
@click.option("--depth", type=click.Choice(DEPTHS), help="The preset's, or 26.")
@click.option("--from-preset", "preset", help="Weights to begin with: folder, hf://...")
@click.option("--probe", is_flag=True, help="Train the head alone, on frozen features.")
@click.option(
    "--recipe",
    type=click.Choice(sorted(RECIPES)),
    default="rednet_few_epochs",
    show_default=True,
)
@click.option("--learning-rate", type=float, help="The highest one, as it is.")
@click.option("--epochs", type=click.IntRange(1), help="The recipe's, if not given.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--image-size", type=click.IntRange(16), help="The preset's, or 64.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True))
@click.option("--evaluations-an-epoch", type=click.IntRange(1), default=1)
@click.option("--dtype-policy", default="float32", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--on-error", type=click.Choice(("skip", "stop")), default="skip")
@click.option("--track", default="csv", show_default=True, help=",".join(TRACKERS))
@click.option("--force", is_flag=True, help="Begin anew in the folder of a run.")
def train_command(output: Path, force: bool, track: str, **options: Any) -> None:
    """Train, and keep all that `resume` and `test` need in the folder of the run.

    Validation sees whole pictures without augmentation, with the averaged weights
    where the recipe averages. `best` and `last` are presets of float32 weights. A
    preset given by --from-preset keeps its preprocessing and its depth; its head is
    replaced where the classes are others.
    """
    options["leave_out"] = list(options["leave_out"])
    for name in ("data", "split"):
        if options[name] is not None:
            options[name] = str(options[name].resolve())
    choices = Choices(track=track.split(","), **options)
    data = begin(output, choices, force, _warn)
    for reason in data.decoded.skipped.values():
        _warn(f"Skipped: {reason}")
    console.print(f"{_counted(data.parts)}, {len(data.decoded.skipped)} skipped.")
    if copied := data.copied():
        _warn(
            f"{len(copied)} training pictures show one that is held out, or look just "
            f"like it: {', '.join(copied[:10])}{' ...' if copied[10:] else ''}"
        )
    _go(output)


@main.command("resume")
@click.argument("run", type=PRESENT)
def resume_command(run: Path) -> None:
    """Go on with an interrupted run, as if it had not been interrupted."""
    _go(run)


@main.command("test")
@click.argument("run", type=PRESENT)
@click.option(
    "--weights", type=click.Choice((names.BEST, names.LAST)), default=names.BEST
)
def test_command(run: Path, weights: str) -> None:
    """Measure a run on its test pictures, and draw what came out."""
    plots.check_matplotlib()
    figures, confusion = measured(run, weights)
    classes = list(figures["class_accuracies"])
    plots.draw_confusion(confusion, classes, run / names.CONFUSION)
    plots.draw_curves(run / "history.csv", run / names.CURVES)
    console.print(
        f"{figures['pictures']} test pictures, {weights} weights: "
        f"accuracy {figures['accuracy']:.4f}, "
        f"mean of the classes {figures['mean_per_class_accuracy']:.4f}, "
        f"top-5 {figures['top_5_accuracy']:.4f} (chance {1 / len(classes):.4f})."
    )


def _go(output: Path) -> None:
    run = continued(output)
    settings = names.read_settings(output)
    logs = open_trackers(settings["choices"]["track"], output, settings)
    console.print(
        f"{run.model.count_params() / 1e6:.2f} M parameters on "
        f"{keras.config.backend()}, step {run.progress.step} of {run.total}."
    )

    def report(figures: dict[str, float]) -> None:
        console.print(
            f"epoch {figures['epoch']:g}  loss {figures['loss']:.3f}  validation: "
            f"loss {figures['val_loss']:.3f}  accuracy {figures['top_1']:.4f}  "
            f"mean of the classes {figures['mean_per_class']:.4f}  "
            f"{figures['minutes']:.1f} min"
        )
        for log in logs:
            log.write("epochs", int(figures["step"]), figures)

    try:
        run.go(report)
    finally:
        for log in logs:
            log.close()
    console.print(f"Presets: {output / names.BEST} and {output / names.LAST}")


def _warn(text: str) -> None:
    console.print(text, style="yellow")


def _counted(parts: list[str]) -> str:
    return ", ".join(f"{count} {part}" for part, count in Counter(parts).items())


if __name__ == "__main__":
    main()
