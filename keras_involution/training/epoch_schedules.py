"""Learning-rate schedules of PyTorch, which change once per epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops
from keras.optimizers import schedules

from keras_involution import _arguments
from keras_involution._typing import Tensor
from keras_involution.training._keywords import check_keywords


def exponential_lr(rate: float, epoch: Tensor, gamma: float) -> Tensor:
    return rate * ops.power(gamma, epoch)


def step_lr(rate: float, epoch: Tensor, step_size: int, gamma: float = 0.1) -> Tensor:
    return rate * ops.power(gamma, ops.floor(epoch / step_size))


def linear_lr(
    rate: float,
    epoch: Tensor,
    start_factor: float = 1 / 3,
    end_factor: float = 1.0,
    total_iters: int = 5,
) -> Tensor:
    fraction = ops.minimum(epoch / total_iters, 1.0)
    return rate * (start_factor + (end_factor - start_factor) * fraction)


def polynomial_lr(
    rate: float, epoch: Tensor, total_iters: int = 5, power: float = 1.0
) -> Tensor:
    return rate * ops.power(1 - ops.minimum(epoch / total_iters, 1.0), power)


def cosine_annealing_lr(
    rate: float, epoch: Tensor, T_max: int, eta_min: float = 0.0
) -> Tensor:
    cosine = (1 + ops.cos(math.pi * epoch / T_max)) / 2
    return eta_min + (rate - eta_min) * cosine


FORMULAS: dict[str, Callable[..., Tensor]] = {
    "CosineAnnealingLR": cosine_annealing_lr,
    "ExponentialLR": exponential_lr,
    "LinearLR": linear_lr,
    "PolynomialLR": polynomial_lr,
    "StepLR": step_lr,
}


_COUNTS = {"T_max", "step_size", "total_iters"}
"""Arguments in epochs, which the formulas divide by."""


@keras.saving.register_keras_serializable(package="keras_involution")
class EpochSchedule(schedules.LearningRateSchedule):
    """A schedule of `torch.optim.lr_scheduler`, stepped after every epoch.

    Args:
        formula: `"CosineAnnealingLR"`, `"ExponentialLR"`, `"LinearLR"`,
            `"PolynomialLR"` or `"StepLR"`.
        learning_rate: Float, the rate of the optimizer.
        steps_per_epoch: Integer.
        **kwargs: The arguments of the schedule in PyTorch.

    Raises:
        ValueError: If the name is unknown, or a number of epochs is not a positive
            integer.
        TypeError: If the schedule does not have an argument of `kwargs`, or one is
            missing.

    Example:

    >>> from keras_involution.training import EpochSchedule
    >>> rate = EpochSchedule("StepLR", 1.0, steps_per_epoch=10, step_size=2)
    >>> [round(float(rate(step)), 3) for step in (0, 19, 20, 40)]
    [1.0, 1.0, 0.1, 0.01]

    Reference:
        https://docs.pytorch.org/docs/stable/optim.html
    """

    def __init__(
        self, formula: str, learning_rate: float, steps_per_epoch: int, **kwargs: Any
    ) -> None:
        self.formula = _arguments.one_of(formula, tuple(FORMULAS), "formula")
        check_keywords(FORMULAS[formula], kwargs, formula, ("rate", "epoch"))
        for name in set(kwargs) & _COUNTS:
            _arguments.positive_integer(kwargs[name], name)
        self.learning_rate, self.kwargs = learning_rate, kwargs
        self.steps_per_epoch = _arguments.positive_integer(
            steps_per_epoch, "steps_per_epoch"
        )

    def __call__(self, step: Tensor) -> Tensor:
        epoch = ops.floor(ops.cast(step, "float32") / self.steps_per_epoch)
        return FORMULAS[self.formula](self.learning_rate, epoch, **self.kwargs)

    def get_config(self) -> dict[str, Any]:
        names = ("formula", "learning_rate", "steps_per_epoch")
        return {**{name: getattr(self, name) for name in names}, **self.kwargs}
