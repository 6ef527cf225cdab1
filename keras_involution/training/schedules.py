"""Learning-rate schedules by name, built on those of Keras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras.optimizers import schedules

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._typing import Tensor
from keras_involution.training._keywords import check_keywords
from keras_involution.training.epoch_schedules import FORMULAS, EpochSchedule


@dataclass(frozen=True)
class _Run:
    """Arguments of the schedule builders; `steps` excludes the warm-up."""

    learning_rate: float
    steps: int
    warm_up_steps: int
    steps_per_epoch: int


def _constant(run: _Run) -> schedules.LearningRateSchedule:
    return schedules.PolynomialDecay(run.learning_rate, 1, run.learning_rate)


def _cosine(run: _Run, final_fraction: float = 0.01) -> schedules.LearningRateSchedule:
    if not run.warm_up_steps:
        return schedules.CosineDecay(run.learning_rate, run.steps, final_fraction)
    return schedules.CosineDecay(
        run.learning_rate / run.warm_up_steps,
        run.steps,
        alpha=final_fraction,
        warmup_target=run.learning_rate,
        warmup_steps=run.warm_up_steps,
    )


def _polynomial(
    run: _Run, power: float = 2.0, final_fraction: float = 0.01
) -> schedules.LearningRateSchedule:
    low = final_fraction * run.learning_rate
    return schedules.PolynomialDecay(run.learning_rate, run.steps, low, power)


def _linear(run: _Run, final_fraction: float = 0.01) -> schedules.LearningRateSchedule:
    return _polynomial(run, 1.0, final_fraction)


def _exponential(run: _Run, decay_rate: float = 0.9) -> schedules.LearningRateSchedule:
    return schedules.ExponentialDecay(
        run.learning_rate, run.steps_per_epoch, decay_rate
    )


def _step(
    run: _Run, milestones: tuple[float, ...] = (0.5, 0.75)
) -> schedules.LearningRateSchedule:
    rates = [run.learning_rate / 10**i for i in range(len(milestones) + 1)]
    steps = [max(1, round(fraction * run.steps)) for fraction in milestones]
    return schedules.PiecewiseConstantDecay(steps, rates)


def _ramp_sustain_decay(
    run: _Run, decay_rate: float = 0.9
) -> schedules.LearningRateSchedule:
    return RampSustainDecay(
        run.learning_rate,
        run.warm_up_steps,
        run.steps_per_epoch,
        decay_rate,
        run.steps_per_epoch,
    )


_BUILDERS: dict[str, Callable[..., schedules.LearningRateSchedule]] = {
    "constant": _constant,
    "cosine": _cosine,
    "exponential": _exponential,
    "linear": _linear,
    "polynomial": _polynomial,
    "ramp_sustain_decay": _ramp_sustain_decay,
    "step": _step,
}
_KERAS = {
    name: getattr(schedules, name)
    for name in (
        "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay",
        "PiecewiseConstantDecay", "PolynomialDecay",
    )
}  # fmt: skip
_WITH_WARM_UP = ("cosine", "ramp_sustain_decay")
SCHEDULES = (*_BUILDERS, *_KERAS, *FORMULAS)


def build_schedule(
    name: str,
    learning_rate: float,
    steps: int,
    *,
    warm_up_steps: int = 0,
    steps_per_epoch: int = 1,
    **kwargs: Any,
) -> schedules.LearningRateSchedule:
    """Builds a learning-rate schedule from its name.

    Args:
        name: One of:
            `"constant"`;
            `"cosine"` and `"linear"`, which decay to `final_fraction=0.01` of the rate;
            `"polynomial"`, the same with `power=2.0`;
            `"exponential"`, which decays by `decay_rate=0.9` per epoch;
            `"step"`, which decays to a tenth at each of `milestones=(0.5, 0.75)`,
            fractions of the steps after the warm-up;
            `"ramp_sustain_decay"`, which rises during the warm-up, is constant for an
            epoch and decays by `decay_rate=0.9` per epoch;
            a Keras schedule such as `"CosineDecay"`, whose `decay_steps` default to all
            steps;
            or a PyTorch schedule: `"CosineAnnealingLR"` (whose `T_max` defaults to all
            epochs), `"ExponentialLR"`, `"LinearLR"`, `"PolynomialLR"`, `"StepLR"`.
        learning_rate: Float, the highest rate.
        steps: Integer, steps of the whole run including the warm-up.
        warm_up_steps: Integer, steps over which the rate rises linearly.
        steps_per_epoch: Integer.
        **kwargs: Arguments of the schedule of this name.

    Returns:
        `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        ValueError: If the name is unknown, or the warm-up is as long as the run.
        TypeError: If the schedule does not have an argument of `kwargs`.

    Example:

    >>> from keras_involution.training import build_schedule
    >>> rate = build_schedule("linear", 0.1, steps=100, warm_up_steps=20)
    >>> [round(float(rate(step)), 4) for step in (0, 10, 20, 60, 100)]
    [0.005, 0.055, 0.1, 0.0505, 0.001]
    """
    _arguments.one_of(name, SCHEDULES, "schedule")
    if not 0 <= warm_up_steps < max(steps, 1):
        raise ValueError(
            "The warm-up must be shorter than the run. "
            + received(warm_up_steps=warm_up_steps, steps=steps)
        )
    falling = steps - warm_up_steps
    if name in _BUILDERS:
        check_keywords(_BUILDERS[name], kwargs, name, ("run",))
        run = _Run(learning_rate, falling, warm_up_steps, steps_per_epoch)
        after = _BUILDERS[name](run, **kwargs)
    elif name in _KERAS:
        after = _keras_schedule(name, learning_rate, falling, kwargs)
    else:
        if name == "CosineAnnealingLR":
            kwargs = {"T_max": max(1, falling // steps_per_epoch), **kwargs}
        after = EpochSchedule(name, learning_rate, steps_per_epoch, **kwargs)
    if not warm_up_steps or name in _WITH_WARM_UP:
        return after
    return WarmUp(after, learning_rate, warm_up_steps)


def _keras_schedule(
    name: str, learning_rate: float, steps: int, kwargs: dict[str, Any]
) -> schedules.LearningRateSchedule:
    cls = _KERAS[name]
    if name == "PiecewiseConstantDecay":
        check_keywords(cls, kwargs, name)
        return cls(**kwargs)
    steps_name = "first_decay_steps" if name == "CosineDecayRestarts" else "decay_steps"
    kwargs = {steps_name: steps, **kwargs}
    check_keywords(cls, kwargs, name, ("initial_learning_rate",))
    return cls(initial_learning_rate=learning_rate, **kwargs)


@keras.saving.register_keras_serializable(package="keras_involution")
class WarmUp(schedules.LearningRateSchedule):
    """A linear warm-up, followed by another schedule.

    Use it for schedules without a built-in warm-up
    (`keras.optimizers.schedules.CosineDecay` has one).

    Args:
        after: Schedule that follows, from its first step.
        learning_rate: Float, the rate at the end of the warm-up.
        steps: Integer, steps of the warm-up; the rate of the first step is
            `learning_rate / steps`.

    Raises:
        ValueError: If `steps` is not a positive integer.

    Example:

    >>> import keras
    >>> from keras_involution.training import WarmUp
    >>> after = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=100)
    >>> rate = WarmUp(after, 0.1, steps=4)
    >>> [round(float(rate(step)), 3) for step in (0, 3, 4, 104)]
    [0.025, 0.1, 0.1, 0.0]
    """

    def __init__(
        self, after: schedules.LearningRateSchedule, learning_rate: float, steps: int
    ) -> None:
        self.after, self.learning_rate = after, learning_rate
        self.steps = _arguments.positive_integer(steps, "steps")

    def __call__(self, step: Tensor) -> Tensor:
        ops = keras.ops
        step = ops.cast(step, "float32")
        line = self.learning_rate * (step + 1.0) / self.steps
        after = self.after(ops.maximum(step - self.steps, 0.0))
        return ops.where(step < self.steps, line, after)

    def get_config(self) -> dict[str, Any]:
        return {
            "after": keras.saving.serialize_keras_object(self.after),
            "learning_rate": self.learning_rate,
            "steps": self.steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        after = keras.saving.deserialize_keras_object(config["after"])
        return cls(**{**config, "after": after})


@keras.saving.register_keras_serializable(package="keras_involution")
class RampSustainDecay(schedules.LearningRateSchedule):
    """A linear ramp, a constant phase, and an exponential decay down to a floor.

    Args:
        learning_rate: Float, the highest rate.
        ramp_steps: Integer, steps of the ramp.
        sustain_steps: Integer, steps at the highest rate.
        decay_rate: Float, decay factor per epoch.
        steps_per_epoch: Integer.
        start: Float, rate of the first step.
        floor: Float, the lowest rate of the decay.

    Raises:
        ValueError: If `steps_per_epoch` is not a positive integer.

    Example:

    >>> from keras_involution.training import RampSustainDecay
    >>> rate = RampSustainDecay(1.0, 4, 2, decay_rate=0.5, steps_per_epoch=1)
    >>> [round(float(rate(step)), 3) for step in range(9)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        learning_rate: float,
        ramp_steps: int,
        sustain_steps: int,
        decay_rate: float = 0.8,
        steps_per_epoch: int = 1,
        start: float = 0.0,
        floor: float = 0.0,
    ) -> None:
        self.learning_rate, self.decay_rate = learning_rate, decay_rate
        self.ramp_steps, self.sustain_steps = ramp_steps, sustain_steps
        self.steps_per_epoch = _arguments.positive_integer(
            steps_per_epoch, "steps_per_epoch"
        )
        self.start, self.floor = start, floor

    def __call__(self, step: Tensor) -> Tensor:
        ops = keras.ops
        step = ops.cast(step, "float32")
        fraction = step / max(self.ramp_steps, 1)
        ramp = self.start + (self.learning_rate - self.start) * fraction
        falling = step - self.ramp_steps - self.sustain_steps
        epochs = ops.maximum(falling, 0.0) / self.steps_per_epoch
        span = self.learning_rate - self.floor
        decay = self.floor + span * ops.power(self.decay_rate, epochs)
        return ops.where(step < self.ramp_steps, ramp, decay)

    def get_config(self) -> dict[str, Any]:
        names = (
            "learning_rate", "ramp_steps", "sustain_steps", "decay_rate",
            "steps_per_epoch", "start", "floor",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}
