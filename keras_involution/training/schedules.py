"""Learning-rate schedules by name, on those that Keras has."""

from __future__ import annotations

from typing import Any

import keras
from keras.optimizers import schedules

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._typing import Tensor

SCHEDULES = (
    "constant",
    "cosine",
    "exponential",
    "linear",
    "polynomial",
    "ramp_sustain_decay",
    "step",
)


def build_schedule(
    name: str,
    learning_rate: float,
    steps: int,
    *,
    warm_up_steps: int = 0,
    final_share: float = 0.01,
    decay_rate: float = 0.9,
    power: float = 2.0,
    steps_per_epoch: int = 1,
    milestones: tuple[float, ...] = (0.5, 0.75),
) -> schedules.LearningRateSchedule:
    """The learning rate of every step, from a name.

    Args:
        name: `"constant"`; `"cosine"`, `"linear"` and `"polynomial"` fall to
            `final_share` of the rate; `"exponential"` falls by `decay_rate` an epoch;
            `"step"` falls to a tenth at every milestone; `"ramp_sustain_decay"` rises
            over the warm-up, stays for an epoch and falls by `decay_rate` an epoch.
        learning_rate: Float, the highest rate.
        steps: Integer, steps of the whole run, warm-up included.
        warm_up_steps: Integer, steps in which the rate rises in a line.
        final_share: Float, the last rate as a share of the highest.
        decay_rate: Float, factor an epoch.
        power: Float, of `"polynomial"`.
        steps_per_epoch: Integer.
        milestones: Tuple of floats, shares of the steps after the warm-up.

    Returns:
        `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        ValueError: If the name is unknown or the warm-up takes the whole run.

    Example:

    >>> from keras_involution.training import build_schedule
    >>> rate = build_schedule("cosine", 0.1, steps=100, warm_up_steps=20)
    >>> [round(float(rate(step)), 4) for step in (0, 10, 20, 60, 100)]
    [0.005, 0.055, 0.1, 0.0505, 0.001]
    """
    _arguments.one_of(name, SCHEDULES, "schedule")
    if not 0 <= warm_up_steps < max(steps, 1):
        raise ValueError(
            "The warm-up must be shorter than the run. "
            + received(warm_up_steps=warm_up_steps, steps=steps)
        )
    falling, low = steps - warm_up_steps, final_share * learning_rate
    if name == "ramp_sustain_decay":
        return RampSustainDecay(
            learning_rate, warm_up_steps, steps_per_epoch, decay_rate, steps_per_epoch
        )
    if name == "constant":
        after: Any = schedules.PolynomialDecay(learning_rate, 1, learning_rate)
    elif name == "cosine":
        after = schedules.CosineDecay(learning_rate, falling, alpha=final_share)
    elif name == "exponential":
        after = schedules.ExponentialDecay(learning_rate, steps_per_epoch, decay_rate)
    elif name == "step":
        after = _by_milestones(learning_rate, falling, milestones)
    else:
        power = 1.0 if name == "linear" else power
        after = schedules.PolynomialDecay(learning_rate, falling, low, power)
    return WarmUp(after, learning_rate, warm_up_steps) if warm_up_steps else after


def _by_milestones(
    learning_rate: float, steps: int, milestones: tuple[float, ...]
) -> schedules.LearningRateSchedule:
    rates = [learning_rate / 10**i for i in range(len(milestones) + 1)]
    return schedules.PiecewiseConstantDecay(
        [max(1, round(share * steps)) for share in milestones], rates
    )


@keras.saving.register_keras_serializable(package="keras_involution")
class WarmUp(schedules.LearningRateSchedule):
    """A line from nearly nothing up to a rate, then another schedule from its start.

    Args:
        after: Schedule of the steps that follow.
        learning_rate: Float, the rate at the end of the line.
        steps: Integer, steps of the line; the first has one `steps`-th of the rate.

    Raises:
        ValueError: If `steps` is not a positive integer.
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
    """Rises in a line, stays, then falls by a factor an epoch down to a floor.

    Args:
        learning_rate: Float, the highest rate.
        ramp_steps: Integer, steps of the line.
        sustain_steps: Integer, steps at the highest rate.
        decay_rate: Float, factor an epoch.
        steps_per_epoch: Integer.
        start: Float, rate of the first step.
        floor: Float, the lowest rate of the fall.

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
        share = step / max(self.ramp_steps, 1)
        ramp = self.start + (self.learning_rate - self.start) * share
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
