"""The learning-rate schedule of the published recipe."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops
from keras.optimizers import schedules

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._typing import Tensor


@keras.saving.register_keras_serializable(package="keras_involution")
class EpochCosine(schedules.LearningRateSchedule):
    """A cosine schedule that changes once per epoch, with a linear warm-up.

    In epoch e of E, the rate is `learning_rate * (1 + cos(pi e / E)) / 2`. During the
    first `warm_up_steps` steps, it is multiplied by a factor that rises linearly from
    `warm_up_fraction` to 1.

    Args:
        learning_rate: Float, the highest rate.
        epochs: Integer, epochs of the whole run.
        steps_per_epoch: Integer.
        warm_up_steps: Integer.
        warm_up_fraction: Float, the factor at the first step.

    Raises:
        ValueError: If the epochs or their steps are not positive integers, or the
            warm-up takes the whole run.

    Example:

    >>> from keras_involution.training import EpochCosine
    >>> rate = EpochCosine(0.8, epochs=4, steps_per_epoch=10, warm_up_steps=10)
    >>> [round(float(rate(step)), 3) for step in (0, 5, 10, 19, 20, 30)]
    [0.2, 0.5, 0.683, 0.683, 0.4, 0.117]
    """

    def __init__(
        self,
        learning_rate: float,
        epochs: int,
        steps_per_epoch: int,
        warm_up_steps: int = 0,
        warm_up_fraction: float = 0.25,
    ) -> None:
        self.learning_rate = learning_rate
        self.epochs = _arguments.positive_integer(epochs, "epochs")
        self.steps_per_epoch = _arguments.positive_integer(
            steps_per_epoch, "steps_per_epoch"
        )
        steps = epochs * steps_per_epoch
        if not 0 <= warm_up_steps < steps:
            raise ValueError(
                "The warm-up must be shorter than the run. "
                + received(warm_up_steps=warm_up_steps, steps=steps)
            )
        self.warm_up_steps, self.warm_up_fraction = warm_up_steps, warm_up_fraction

    def __call__(self, step: Tensor) -> Tensor:
        step = ops.cast(step, "float32")
        fraction = ops.floor(step / self.steps_per_epoch) / self.epochs
        cosine = (1 + ops.cos(math.pi * ops.minimum(fraction, 1.0))) / 2
        line = ops.minimum(step / max(self.warm_up_steps, 1), 1.0)
        rise = self.warm_up_fraction + (1 - self.warm_up_fraction) * line
        return self.learning_rate * cosine * (rise if self.warm_up_steps else 1.0)

    def get_config(self) -> dict[str, Any]:
        names = (
            "learning_rate", "epochs", "steps_per_epoch", "warm_up_steps",
            "warm_up_fraction",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}
