"""Recipes: all hyperparameters of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras

from keras_involution import _arguments
from keras_involution.distribution import scaled_learning_rate
from keras_involution.training.augmentation import Augmentation
from keras_involution.training.epoch_cosine import EpochCosine
from keras_involution.training.optimizers import build_optimizer
from keras_involution.training.schedules import build_schedule
from keras_involution.training.views import RandomView

# Sides of smaller images are multiples of the stride of the network's third stage.
_MULTIPLE = 16


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of a training run; change them with `dataclasses.replace`.

    Args:
        optimizer: Name of an optimizer, as in `build_optimizer`.
        learning_rate: Float, the highest rate at `base_batch_size` images per step.
        base_batch_size: Integer.
        epochs: Integer.
        scaling: Rule that scales the rate with the batch size, as in
            `distribution.scaled_learning_rate`.
        optimizer_kwargs: Dictionary of further arguments of the optimizer.
        weight_decay: Float, as in `build_optimizer`.
        schedule: Name of a schedule, as in `build_schedule`, or `"epoch_cosine"`, the
            published one.
        schedule_kwargs: Dictionary of the arguments of the schedule.
        warm_up_epochs: Float, epochs over which the rate rises linearly; at most a
            quarter of the run.
        clip_norm: Float, largest norm of the gradients; `None` does not clip.
        label_smoothing: Float.
        crop_area: Tuple of 2 floats, smallest and largest fraction of the image area in
            a random crop.
        sizes: Tuple of pairs for progressive resizing: from this fraction of the run,
            images have this fraction of the full size.
        rand_augment: Float from 0 to 1, a tenth of the magnitude of RandAugment.
        mix_up: Float, `alpha` of MixUp.
        cut_mix: Float, `alpha` of CutMix; with `mix_up`, batches get one of the two.
        ema_decay: Float, decay of the moving averages of the weights; smaller in short
            runs. `None` keeps no averages.
        drop_path_rate: Float, stochastic depth rate of the last bottleneck.

    Example:

    >>> from keras_involution.training import RECIPES
    >>> recipe = RECIPES["rednet_imagenet"]
    >>> recipe.rate(batch_size=256)
    0.1
    >>> optimizer = recipe.build_optimizer(recipe.build_schedule(256, 5000))
    >>> optimizer.coupled_decay
    0.0001
    """

    optimizer: str
    learning_rate: float
    base_batch_size: int
    epochs: int
    scaling: str = "linear"
    optimizer_kwargs: dict[str, Any] = field(default_factory=dict)
    weight_decay: float = 0.0
    schedule: str = "cosine"
    schedule_kwargs: dict[str, Any] = field(default_factory=dict)
    warm_up_epochs: float = 0.0
    clip_norm: float | None = None
    label_smoothing: float = 0.1
    crop_area: tuple[float, float] = (0.08, 1.0)
    sizes: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    rand_augment: float = 0.0
    mix_up: float = 0.0
    cut_mix: float = 0.0
    ema_decay: float | None = None
    drop_path_rate: float = 0.0

    def rate(self, batch_size: int) -> float:
        """Returns the highest learning rate for a batch size."""
        return scaled_learning_rate(
            self.learning_rate, batch_size, self.base_batch_size, self.scaling
        )

    def image_size(self, progress: float, full_size: int) -> int:
        """Returns the image size at a fraction of the run (progressive resizing).

        Args:
            progress: Float from 0 to 1, fraction of the run.
            full_size: Integer, the full size in pixels.

        Returns:
            Integer, side of the images in pixels.
        """
        fraction = [size for start, size in self.sizes if start <= progress][-1]
        if fraction == 1:
            return full_size
        return max(_MULTIPLE, _MULTIPLE * round(fraction * full_size / _MULTIPLE))

    def build_schedule(
        self, batch_size: int, steps_per_epoch: int, epochs: int | None = None
    ) -> keras.optimizers.schedules.LearningRateSchedule:
        """Builds the learning-rate schedule.

        Args:
            batch_size: Integer.
            steps_per_epoch: Integer.
            epochs: Integer; `None` uses the epochs of the recipe.

        Returns:
            `keras.optimizers.schedules.LearningRateSchedule`.
        """
        epochs = _arguments.positive_integer(epochs or self.epochs, "epochs")
        steps, rate = steps_per_epoch * epochs, self.rate(batch_size)
        warm_up_steps = round(self.warm_up_epochs * steps_per_epoch)
        warm_up_steps = min(warm_up_steps, steps // 4)
        if self.schedule == "epoch_cosine":
            return EpochCosine(rate, epochs, steps_per_epoch, warm_up_steps)
        return build_schedule(
            self.schedule,
            rate,
            steps,
            warm_up_steps=warm_up_steps,
            steps_per_epoch=steps_per_epoch,
            **self.schedule_kwargs,
        )

    def build_optimizer(
        self, learning_rate: Any, steps: int | None = None
    ) -> keras.optimizers.Optimizer:
        """Builds the optimizer.

        Args:
            learning_rate: Float or schedule.
            steps: Integer, steps of the run; `None` if not known. Moving averages start
                from the initial weights. With `steps`, their decay is at most
                `(1 + steps) / (10 + steps)`, so the initial weights hardly contribute
                to the averages at the end of a short run.

        Returns:
            `keras.optimizers.Optimizer`.
        """
        ema_decay = self.ema_decay
        if ema_decay is not None and steps is not None:
            ema_decay = min(ema_decay, (1 + steps) / (10 + steps))
        return build_optimizer(
            self.optimizer,
            learning_rate,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm,
            ema_decay=ema_decay,
            **self.optimizer_kwargs,
        )

    def build_augmentation(self) -> Augmentation:
        """Builds the augmentation: random crops, RandAugment, MixUp and CutMix."""
        return Augmentation(
            RandomView(area=self.crop_area, ratio=4 / 3),
            rand_augment=self.rand_augment,
            mix_up=self.mix_up,
            cut_mix=self.cut_mix,
        )

    def build_loss(self) -> keras.losses.Loss:
        """Builds the cross-entropy loss of logits with one-hot or mixed targets."""
        return keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=self.label_smoothing
        )
