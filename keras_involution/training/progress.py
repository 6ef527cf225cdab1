"""How long a run lasts, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras

from keras_involution import _arguments
from keras_involution._arguments import received


@dataclass(frozen=True)
class Budget:
    """The length of a run: epochs, or minutes where these are over sooner.

    Learning rate and image size follow the fraction of the budget that is spent, so
    that a schedule reaches its end on a slow machine too.

    Args:
        epochs: Integer.
        steps_per_epoch: Integer.
        minutes: Float, wall time of all parts of the run; `None` for no limit.

    Raises:
        ValueError: If a number is not positive.

    Example:

    >>> from keras_involution.training import Budget
    >>> budget = Budget(epochs=2, steps_per_epoch=50, minutes=10)
    >>> budget.fraction(step=20, seconds=300)
    0.5
    """

    epochs: int
    steps_per_epoch: int
    minutes: float | None = None

    def __post_init__(self) -> None:
        _arguments.positive_integer(self.epochs, "epochs")
        _arguments.positive_integer(self.steps_per_epoch, "steps_per_epoch")
        if self.minutes is not None:
            _arguments.positive_number(self.minutes, "minutes")

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    def fraction(self, step: int, seconds: float) -> float:
        """The fraction of the budget that is spent, by steps or by time."""
        fraction = step / self.steps
        if self.minutes is not None:
            fraction = max(fraction, seconds / (60 * self.minutes))
        return min(fraction, 1.0)


@dataclass
class Progress:
    """The state of a run that a checkpoint keeps beside weights and optimizer.

    Attributes:
        settings: Dictionary of what a resumed run must share with its beginning.
        step: Integer, steps taken.
        seconds: Float, wall time of all parts of the run.
        losses: List of the losses since the last evaluation.
        history: List of the metrics of every evaluation.
        best: Float, best value of the monitored metric; `None` before the first.
        best_epoch: Float, its epoch.
        stopped: String, why the run ended before its budget; empty otherwise.
        data: Position in the data, as its `get_state` returns it.
        world_size: Integer, processes that shared the data.
        backend: String, Keras's backend, whose random numbers the run has drawn.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None
    best_epoch: float = 0.0
    stopped: str = ""
    data: Any = None
    world_size: int = 1
    backend: str = field(default_factory=keras.config.backend)

    def check_continued_by(self, other: Progress) -> None:
        """Refuses to go on in another way than the run began.

        Raises:
            ValueError: If backend or settings are others.
        """
        check_backend(self.backend)
        changed = {n: v for n, v in other.settings.items() if self.settings.get(n) != v}
        if changed:
            begun = ", ".join(f"{n}={self.settings.get(n)!r}" for n in changed)
            raise ValueError(
                "A run is resumed with the settings that it began with, here with "
                f"{begun}. {received(**changed)}"
            )


def check_backend(begun: str) -> None:
    """Refuses to resume a run on another backend, which draws other random numbers.

    Raises:
        ValueError: If it is another.
    """
    backend = keras.config.backend()
    if backend != begun:
        raise ValueError(
            f"The run was begun on {begun} and can be resumed only there: set "
            f"KERAS_BACKEND={begun}. {received(backend=backend)}"
        )
