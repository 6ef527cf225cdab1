"""`keras-involution test`: evaluates a trained classifier on its test images."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from keras_involution._commands import Command, reported


@cloup.command(cls=Command, extras=("train",))
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--weights",
    type=click.Choice(("best", "last")),
    default="best",
    help="Weights to test.",
)
def command(run: Path, weights: str) -> None:
    """Evaluate the run in the folder RUN on its test images and plot the results.

    Writes `test.json`, `predictions.csv`, `confusion.png` and `curves.png` to RUN.
    """
    with reported():
        from keras_involution.training import test_classifier
        from keras_involution.training.classifier import folder, plots

        metrics, confusion = test_classifier(run, weights)
        classes = list(metrics["class_accuracies"])
        plots.draw_confusion(confusion, classes, run / folder.CONFUSION)
        plots.draw_curves(run / folder.EPOCHS, run / folder.STEPS, run / folder.CURVES)
    click.echo(
        f"{metrics['images']} test images, {weights} weights: "
        f"accuracy {metrics['accuracy']:.4f}, "
        f"mean over classes {metrics['mean_per_class_accuracy']:.4f}, "
        f"top-5 {metrics['top_5_accuracy']:.4f} (guessing {1 / len(classes):.4f})"
    )
