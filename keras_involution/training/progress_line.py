"""The progress of a run on a terminal, with the remaining time."""

from __future__ import annotations

import sys

import click

from keras_involution.training.progress import Budget, Progress


class ProgressLine:
    """Shows the progress of a run on standard error.

    A terminal shows one line that is updated after every step. A file gets one line per
    evaluation.

    Args:
        budget: `Budget` of the run.

    Call arguments:
        progress: `Progress` after a step.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.start: tuple[float, float] | None = None
        self.evaluations = 0
        self.summary = "the run was already complete"

    def __call__(self, progress: Progress) -> None:
        fraction = self.budget.fraction(progress.step, progress.seconds)
        if self.start is None:
            # Measure from the end of the first step, which includes compilation.
            self.start = fraction, progress.seconds
        metrics = _shown(progress.history[-1] if progress.history else {})
        per_epoch = self.budget.steps_per_epoch
        place = f"epoch {-(-progress.step // per_epoch)} of {self.budget.epochs}"
        self.summary = f"{place}, {metrics}{clock(progress.seconds)}"
        if progress.stopped:
            self.summary += f", stopped: {progress.stopped}"
        left = f"{self._left(fraction, progress.seconds)} left"
        if sys.stderr.isatty():
            step = f"step {progress.step} of {self.budget.steps}"
            text = f"\r\x1b[K{place}, {step}, {metrics}{left}"
            click.echo(text, nl=False, err=True)
        elif len(progress.history) > self.evaluations:
            click.echo(f"{place}, {metrics}{left}", err=True)
        self.evaluations = len(progress.history)

    def _left(self, fraction: float, seconds: float) -> str:
        first, began = self.start or (0.0, 0.0)
        if fraction <= first:
            return "unknown time"
        return clock((seconds - began) / (fraction - first) * (1 - fraction))


def _shown(metrics: dict[str, float]) -> str:
    values = (f"{k} {v:.3f}" for k, v in metrics.items() if k not in _OF_TIME)
    return "".join(f"{value}, " for value in values)


_OF_TIME = ("epoch", "seconds")


def clock(seconds: float) -> str:
    """Formats seconds as `minutes:seconds` or `hours:minutes:seconds`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
