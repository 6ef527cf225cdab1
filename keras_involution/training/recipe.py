"""What a training needs to know beside its network and its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from keras_involution import _arguments
from keras_involution.distribution import scaled_learning_rate
from keras_involution.training.augmentation import Augmentation
from keras_involution.training.coupled_decay import SGDWithCoupledDecay
from keras_involution.training.epoch_cosine import EpochCosine
from keras_involution.training.optimizers import build_optimizer
from keras_involution.training.schedules import build_schedule


@dataclass(frozen=True)
class Recipe:
    """How to train, as data; `dataclasses.replace` changes a part of it.

    Args:
        optimizer: `"adam"`, `"adamw"` or `"sgd"`, as `build_optimizer` has them, or
            `"sgd_coupled_decay"`, the published one.
        learning_rate: Float, the highest rate at `base_batch_size` pictures a step.
        base_batch_size: Integer.
        scaling: How the rate follows the batch size: a rule of
            `distribution.scaled_learning_rate`.
        epochs: Integer.
        weight_decay: Float; of `"sgd_coupled_decay"` for every variable, otherwise
            normalisation and biases are left out.
        schedule: Name of a schedule, as `build_schedule` has them, or
            `"epoch_cosine"`, the published one.
        warm_up_epochs: Float, epochs in which the rate rises in a line; a quarter of
            the run at most.
        final_share: Float, the last rate as a share of the highest.
        clip_norm: Float, largest norm of the gradients; `None` clips nothing.
        label_smoothing: Float.
        crop_area: Tuple of 2 floats, smallest and largest share of a picture that a
            random view shows.
        sizes: Tuple of (share of the run, share of the full image size): from when on
            pictures have which size.
        rand_augment: Float from 0 to 1, a tenth of the magnitude of RandAugment.
        mix_up: Float, `alpha` of MixUp.
        cut_mix: Float, `factor` of CutMix; with `mix_up`, batches have one of the two.
        average_momentum: Float, for moving averages of the weights, in a long run;
            `None` keeps none.
        drop_path_rate: Float, stochastic depth of the last bottleneck.

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
    weight_decay: float = 0.0
    schedule: str = "cosine"
    warm_up_epochs: float = 0.0
    final_share: float = 0.0
    clip_norm: float | None = None
    label_smoothing: float = 0.1
    crop_area: tuple[float, float] = (0.08, 1.0)
    sizes: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    rand_augment: float = 0.0
    mix_up: float = 0.0
    cut_mix: float = 0.0
    average_momentum: float | None = None
    drop_path_rate: float = 0.0

    def rate(self, batch_size: int) -> float:
        """The highest learning rate for steps of `batch_size` pictures."""
        return scaled_learning_rate(
            self.learning_rate, batch_size, self.base_batch_size, self.scaling
        )

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
        """The learning rate of every step.

        Args:
            batch_size: Integer.
            steps_per_epoch: Integer.
            epochs: Integer; `None` takes the recipe's.

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
            final_share=self.final_share,
            steps_per_epoch=steps_per_epoch,
        )

    def build_optimizer(
        self, learning_rate: Any, steps: int | None = None
    ) -> keras.optimizers.Optimizer:
        """The optimizer, at a rate or a schedule.

        Args:
            learning_rate: Float or schedule.
            steps: Integer, steps of the run; `None` if not known. The moving averages
                begin at the first weights, which are random: with `steps` their
                momentum is `(1 + steps) / (10 + steps)` at most, so that a short run
                ends with averages that have forgotten them.

        Returns:
            `keras.optimizers.Optimizer`.
        """
        average = self.average_momentum
        if average is not None and steps is not None:
            average = min(average, (1 + steps) / (10 + steps))
        if self.optimizer == "sgd_coupled_decay":
            return SGDWithCoupledDecay(
                learning_rate,
                momentum=0.9,
                nesterov=True,
                coupled_decay=self.weight_decay,
                global_clipnorm=self.clip_norm,
                use_ema=average is not None,
                ema_momentum=0.99 if average is None else average,
            )
        return build_optimizer(
            self.optimizer,
            lambda factor: learning_rate,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm,
            average_momentum=average,
        )

    def build_augmentation(self) -> Augmentation:
        """What changes whole batches of pictures of values 0 to 255."""
        return Augmentation(self.rand_augment, self.mix_up, self.cut_mix)

    def build_loss(self) -> keras.losses.Loss:
        """Cross entropy of logits with one-hot or mixed targets."""
        return keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=self.label_smoothing
        )
