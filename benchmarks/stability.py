"""Checks that training RedNet-50 from scratch is stable at the published rate.

What it does: trains a RedNet-50 and its ResNet baseline for some dozens of steps on
400 photos of caltech101-mini at three learning rates, with the published optimizer:
SGD with Nesterov momentum, weight decay in the gradient, label smoothing and a linear
warm-up. Prints the losses and the largest output of a 7x7 involution or a 3x3
convolution during training.

How long it takes: 14 minutes on one core of a busy machine.

What to expect: no NaN. At the published rate, scaled to the batch size, the loss falls
from 2.3 to 1.3. The table is in `benchmarks/RESULTS.md`, under Stability.

Command, from the root of the repository:

    KERAS_BACKEND=torch python -m benchmarks.stability
"""

from __future__ import annotations

import math

import click
import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from examples._demo.photos import load_photos
from keras_involution import RedNetBackbone, RedNetImageClassifier
from keras_involution.training import RECIPES

BATCH = 32
RATES = {
    "published, 0.8 / 2048 an image": 1.0,
    "8 times that": 8.0,
    "0.8 itself": 64.0,
}


def build_model(depth: int, spatial_operator: str, size: int) -> RedNetImageClassifier:
    keras.utils.set_random_seed(0)
    backbone = RedNetBackbone.from_depth(
        depth,
        spatial_operator=spatial_operator,
        image_shape=(size, size, 3),
        data_format="channels_last",
    )
    return RedNetImageClassifier(backbone, num_classes=10)


def train(
    model: RedNetImageClassifier, factor: float, steps: int, warm_up_steps: int
) -> tuple[list[float], float]:
    """Trains and returns the losses and the largest output of a spatial operator."""
    recipe = RECIPES["rednet_imagenet"]
    rate = factor * recipe.rate(BATCH)
    model.compile(recipe.build_optimizer(rate), recipe.build_loss())
    images, labels = load_photos("train")
    prepared = keras.ops.convert_to_numpy(model.preprocessor(images))
    targets = np.eye(10, dtype="float32")[labels]
    random, losses, largest = np.random.default_rng(0), [], 0.0
    for step in range(steps):
        rise = 0.25 + 0.75 * min(step / max(1, warm_up_steps), 1)
        model.optimizer.learning_rate = rate * rise
        rows = random.choice(len(images), BATCH, replace=False)
        losses.append(float(model.train_on_batch(prepared[rows], targets[rows])))
        if not math.isfinite(losses[-1]):
            break
        if step % 8 == 7:
            largest = max(largest, largest_value(model, prepared[rows]))
    return losses, largest


def largest_value(model: RedNetImageClassifier, images: np.ndarray) -> float:
    """Returns the largest absolute output of the spatial operators in training mode."""
    backbone = model.backbone
    ends = ("_2_involution", "_2_conv")
    outputs = [x.output for x in backbone.layers if x.name.endswith(ends)]
    found = keras.Model(backbone.input, outputs)(images, training=True)
    return max(float(np.abs(keras.ops.convert_to_numpy(x)).max()) for x in found)


@click.command(help="Train at the published rate and above it.")
@click.option("--depth", default=50, show_default=True)
@click.option("--image-size", default=48, show_default=True)
@click.option("--steps", default=48, show_default=True)
def main(depth: int, image_size: int, steps: int) -> None:
    console = Console(width=120)
    table = Table(
        "network", "rate", "first loss", "largest", "mean of the last 8", "|y|"
    )
    for operator in ("involution", "convolution"):
        for name, factor in RATES.items():
            model = build_model(depth, operator, image_size)
            losses, largest = train(model, factor, steps, warm_up_steps=steps // 4)
            row = [losses[0], max(losses), float(np.mean(losses[-8:])), largest]
            table.add_row(operator, name, *(f"{value:.3g}" for value in row))
            console.print(f"{operator}, {name}: {losses[0]:.2f} to {losses[-1]:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
