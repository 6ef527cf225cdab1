"""How to train, as data: the published recipe, and two of today."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.training.optimizers import build_optimizer
from keras_involution.training.schedules import build_schedule

SCALINGS = ("linear", "none", "square_root")


@dataclass(frozen=True)
class Recipe:
    """All that a training needs to know beside network and pictures.

    Args:
        optimizer: `"adam"`, `"adamw"` or `"sgd"`, as `build_optimizer` has them.
        learning_rate: Float, the highest rate at `base_batch_size` pictures a step.
        base_batch_size: Integer.
        scaling: `"linear"`, `"square_root"` or `"none"`: how the rate follows the
            batch size.
        epochs: Integer.
        weight_decay: Float.
        schedule: Name of a schedule, as `build_schedule` has them.
        warm_up_epochs: Float, epochs in which the rate rises in a line.
        final_share: Float, the last rate as a share of the highest.
        clip_norm: Float, largest norm of the gradients; `None` clips nothing.
        label_smoothing: Float.
        crop_area: Tuple of 2 floats, smallest and largest share of a picture that a
            random view shows.
        sizes: Tuple of (share of the run, share of the full image size): from when on
            pictures have which size.
        average_momentum: Float, for moving averages of the weights; `None` keeps none.
        drop_path_rate: Float, stochastic depth of the last bottleneck.

    Example:

    >>> from keras_involution.training import RECIPES
    >>> recipe = RECIPES["rednet_imagenet"]
    >>> recipe.rate(batch_size=256)
    0.1
    """

    optimizer: str
    learning_rate: float
    base_batch_size: int
    epochs: int
    scaling: str = "linear"
    weight_decay: float = 0.0
    schedule: str = "cosine"
    warm_up_epochs: float = 0.0
    final_share: float = 0.0
    clip_norm: float | None = None
    label_smoothing: float = 0.1
    crop_area: tuple[float, float] = (0.08, 1.0)
    sizes: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    average_momentum: float | None = None
    drop_path_rate: float = 0.0

    def rate(self, batch_size: int) -> float:
        """The highest learning rate for steps of `batch_size` pictures."""
        _arguments.one_of(self.scaling, SCALINGS, "scaling")
        share = _arguments.positive_integer(batch_size, "batch_size")
        share /= self.base_batch_size
        power = {"linear": 1.0, "none": 0.0, "square_root": 0.5}[self.scaling]
        return self.learning_rate * share**power

    def image_size(self, progress: float, full_size: int, multiple: int = 16) -> int:
        """The sides of the pictures at a share of the run: progressive resizing.

        Args:
            progress: Float from 0 to 1.
            full_size: Integer, the sides at the end.
            multiple: Integer, of which other sizes are multiples.

        Returns:
            Integer.
        """
        share = [share for start, share in self.sizes if start <= progress][-1]
        if share == 1:
            return full_size
        return max(multiple, multiple * round(share * full_size / multiple))

    def build_schedule(
        self, batch_size: int, steps_per_epoch: int, epochs: int | None = None
    ) -> keras.optimizers.schedules.LearningRateSchedule:
        """The learning rate of every step of `epochs` epochs."""
        steps = steps_per_epoch * (epochs or self.epochs)
        return build_schedule(
            self.schedule,
            self.rate(batch_size),
            steps,
            warm_up_steps=min(
                round(self.warm_up_epochs * steps_per_epoch), math.ceil(steps / 4)
            ),
            final_share=self.final_share,
            steps_per_epoch=steps_per_epoch,
        )

    def build_optimizer(self, learning_rate: Any) -> keras.optimizers.Optimizer:
        """The optimizer, at a rate or a schedule."""
        return build_optimizer(
            self.optimizer,
            lambda factor: learning_rate,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm,
            average_momentum=self.average_momentum,
        )

    def build_loss(self) -> keras.losses.Loss:
        """Cross entropy of logits with one-hot or mixed targets."""
        return keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=self.label_smoothing
        )


RECIPES: dict[str, Recipe] = {
    "rednet_imagenet": Recipe(
        optimizer="sgd",
        learning_rate=0.8,
        base_batch_size=2048,
        epochs=130,
        weight_decay=1e-4,
        warm_up_epochs=5,
    ),
    "rednet_few_epochs": Recipe(
        optimizer="adamw",
        learning_rate=2e-3,
        base_batch_size=128,
        scaling="square_root",
        epochs=6,
        weight_decay=0.05,
        warm_up_epochs=0.25,
        clip_norm=1.0,
        crop_area=(0.35, 1.0),
        sizes=((0.0, 0.5), (0.3, 0.75), (0.9, 1.0)),
    ),
}
