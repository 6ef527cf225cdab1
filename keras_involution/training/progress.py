"""The length of a run, and its progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras

from keras_involution import _arguments
from keras_involution._arguments import received


@dataclass(frozen=True)
class Budget:
    """The length of a run: a number of epochs, and optionally a time limit.

    Learning rate and image size depend on the fraction of the budget that is used, so a
    schedule also reaches its end on a slow machine.

    Args:
        epochs: Integer.
        steps_per_epoch: Integer.
        minutes: Float, wall time of the run, interruptions excluded; `None` for no
            limit.

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
        """The number of steps of all epochs."""
        return self.epochs * self.steps_per_epoch

    def fraction(self, step: int, seconds: float) -> float:
        """Returns the used fraction of the budget, the larger of steps and time."""
        fraction = step / self.steps
        if self.minutes is not None:
            fraction = max(fraction, seconds / (60 * self.minutes))
        return min(fraction, 1.0)


@dataclass
class Progress:
    """The state of a run, saved in its checkpoint with the weights and the optimizer.

    Attributes:
        settings: Dictionary of settings that must be the same when a run is resumed.
        step: Integer, steps taken.
        seconds: Float, wall time of the run, interruptions excluded.
        losses: List of the losses since the last evaluation.
        history: List of the metrics of every evaluation.
        best: Float, best value of the monitored metric; `None` before the first.
        best_epoch: Float, the epoch of the best value.
        stopped: String, why the run ended before its budget; empty otherwise.
        data: Position in the data, as its `get_state` returns it.
        world_size: Integer, number of processes of the run.
        backend: String, the Keras backend of the run.
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
        """Checks that a run is resumed with the same settings and backend.

        Raises:
            ValueError: If the backend or a setting differs.
        """
        check_backend(self.backend)
        changed = {n: v for n, v in other.settings.items() if self.settings.get(n) != v}
        if changed:
            begun = ", ".join(f"{n}={self.settings.get(n)!r}" for n in changed)
            raise ValueError(
                f"A run must be resumed with its original settings: {begun}. "
                + received(**changed)
            )


def check_backend(begun: str) -> None:
    """Checks that a run is resumed on the backend it was started on.

    Random numbers differ between backends.

    Raises:
        ValueError: If the backend differs.
    """
    backend = keras.config.backend()
    if backend != begun:
        raise ValueError(
            f"The run was started on {begun} and must be resumed on it: set "
            f"KERAS_BACKEND={begun}. {received(backend=backend)}"
        )
