"""The training loop: steps, evaluations and checkpoints, with exact resumption."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from keras_involution._arguments import received
from keras_involution._files import reading
from keras_involution.distribution import Distribution
from keras_involution.models.data_parallel import refuse_model_from_outside
from keras_involution.training.checkpoint import load_checkpoint, save_checkpoint
from keras_involution.training.logs import Log
from keras_involution.training.optimizers import RateSetter, averaged_weights
from keras_involution.training.progress import Budget, Progress
from keras_involution.training.statistics import update_batch_norm_statistics

CHECKPOINT = "checkpoint.npz"
CHECKPOINT_BYTES = 16 * 2**20
"""Largest file of a checkpoint; small files are easier to copy between machines."""


class TrainingData(Protocol):
    """Training data for `Trainer`: batches with a position that can be saved."""

    def seek(self, step: int, state: Any) -> None:
        """Moves to the batch after `step` steps.

        Args:
            step: Integer, number of steps taken.
            state: Value returned by `get_state`; `None` at the beginning of a run and
                if the number of processes has changed.
        """

    def next_batch(self, fraction: float) -> tuple[Any, Any]:
        """Returns the inputs and targets of the next step.

        Args:
            fraction: Float from 0 to 1, fraction of the run.
        """

    def get_state(self) -> Any:
        """Returns the position after the last batch as a JSON value."""

    def close(self) -> None:
        """Stops threads and processes that prefetch batches; `seek` can restart."""


class Trainer:
    """Trains a model for a given budget, with evaluations and checkpoints.

    A run that was interrupted at any point resumes from its checkpoint with the same
    losses as an uninterrupted run. With several processes, each creates its own
    `Trainer`, and only the first writes files.

    Args:
        model: Compiled `keras.Model`, whose weights and optimizer are saved.
        data: `TrainingData`.
        budget: `Budget`.
        folder: Path of the folder for the checkpoint; `None` saves none.
        learning_rate: Function from a step to the learning rate, such as a Keras
            schedule. The step is the fraction of the budget that is used, times the
            number of steps. `None` uses the rate of the optimizer.
        evaluate: Function that returns metrics; its argument tells whether the run is
            over. If the optimizer keeps moving averages of the weights, the model has
            these averages during the call.
        evaluate_every: Integer, steps between two evaluations; `None` for one epoch.
        monitor: String, the metric to maximize.
        patience: Integer, number of epochs without improvement after which training
            stops.
        save: Function called after every evaluation, with the evaluated weights in the
            model. Its arguments tell whether they are the best so far and whether the
            run is over.
        statistics: Function that returns batches; the statistics of batch normalization
            are recomputed over them before the last evaluation.
        checkpoint_minutes: Float, time between two checkpoints.
        checkpoint_steps: Integer, steps between two checkpoints, in addition to
            `checkpoint_minutes`.
        trained: `keras.Model` whose steps train `model`, such as a distiller.
        settings: Dictionary of JSON values that must be the same when a run is resumed.
        logs: Sequence of logs that receive losses and metrics.
        distribution: `Distribution`, for several devices.

    Raises:
        ValueError: If the folder holds a run with other settings or of another backend.

    Example:

    >>> import keras, numpy as np, tempfile
    >>> from keras_involution.training import Budget, Trainer
    >>> class Ones:
    ...     def seek(self, step, state): pass
    ...     def get_state(self): return None
    ...     def close(self): pass
    ...     def next_batch(self, fraction): return np.ones((4, 2)), np.ones((4, 1))
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Trainer(model, Ones(), Budget(2, 3), folder).run().step
    6
    """

    def __init__(
        self,
        model: keras.Model,
        data: TrainingData,
        budget: Budget,
        folder: str | Path | None = None,
        *,
        learning_rate: Callable[[int], Any] | None = None,
        evaluate: Callable[[bool], dict[str, float]] | None = None,
        evaluate_every: int | None = None,
        monitor: str | None = None,
        patience: int | None = None,
        save: Callable[[bool, bool], None] | None = None,
        statistics: Callable[[], Iterable[Any]] | None = None,
        checkpoint_minutes: float = 5.0,
        checkpoint_steps: int | None = None,
        trained: keras.Model | None = None,
        settings: dict[str, Any] | None = None,
        logs: Sequence[Log] = (),
        distribution: Distribution | None = None,
    ) -> None:
        self.model, self.data, self.budget = model, data, budget
        self.learning_rate = learning_rate
        self.path = None if folder is None else Path(folder) / CHECKPOINT
        self.evaluate, self.monitor, self.patience = evaluate, monitor, patience
        self.evaluate_every = evaluate_every or budget.steps_per_epoch
        self.save, self.statistics = save, statistics
        self._set_rate = RateSetter(model.optimizer) if learning_rate else None
        self.checkpoint_minutes = checkpoint_minutes
        self.checkpoint_steps = checkpoint_steps
        self.trained = model if trained is None else trained
        self.logs, self.distribution = list(logs), distribution
        hosts = distribution and distribution.hosts
        self.world_size = hosts.world_size if hosts else 1
        self.progress = Progress(dict(settings or {}), world_size=self.world_size)
        self._data_state: Any = None
        self._restore()
        self._started = time.perf_counter() - self.progress.seconds
        self._saved_at = self.progress.seconds

    @property
    def is_over(self) -> bool:
        """Whether the budget is used up, or the run has stopped early."""
        return bool(self.progress.stopped) or self.fraction >= 1

    @property
    def fraction(self) -> float:
        """The fraction of the budget that is used."""
        return self.budget.fraction(self.progress.step, self.progress.seconds)

    def run(self, on_step: Callable[[Progress], None] | None = None) -> Progress:
        """Trains to the end of the budget.

        Args:
            on_step: Function that is called with the progress after every step.

        Returns:
            `Progress`, with the metrics of every evaluation in `history`.

        Raises:
            ValueError: If the loss is not finite, or the model was built outside the
                block of `distribute`.
        """
        refuse_model_from_outside(self.trained)
        self._started = time.perf_counter() - self.progress.seconds
        self.data.seek(self.progress.step, self._data_state)
        try:
            while not self.is_over:
                self._step()
                if self.progress.step % self.evaluate_every == 0 or self.is_over:
                    self._end_epoch()
                if self._checkpoint_is_due():
                    self.checkpoint()
                if on_step is not None:
                    on_step(self.progress)
        finally:
            self._data_state = self.data.get_state()
            self.data.close()
            for log in self.logs:
                log.close()
        return self.progress

    def checkpoint(self) -> None:
        """Saves a checkpoint from which the run can be resumed."""
        if self.path is None:
            return
        self.progress.data = _encoded(self.data.get_state())
        save_checkpoint(
            self.path,
            self.model,
            dataclasses.asdict(self.progress),
            self.distribution,
            shard_bytes=CHECKPOINT_BYTES,
        )
        self._saved_at = self.progress.seconds

    def _restore(self) -> None:
        state = None
        if self.path is not None and self.path.exists():
            found = load_checkpoint(self.path, self.model)
            with reading(self.path, "The progress of the run"):
                begun = Progress(**found)
            begun.check_continued_by(self.progress)
            self.progress = begun
            if self.progress.world_size == self.world_size:
                state = _decoded(self.progress.data)
            self.progress.world_size = self.world_size
        self._data_state = state

    def _step(self) -> None:
        progress, fraction = self.progress, self.fraction
        rates = {}
        if self.learning_rate is not None and self._set_rate is not None:
            rate = float(self.learning_rate(round(fraction * self.budget.steps)))
            self._set_rate(rate)
            rates = {"learning_rate": rate}
        inputs, targets = self.data.next_batch(fraction)
        # Not `fit`, which replaces the weights by their moving averages at its end.
        logs = self.trained.train_on_batch(inputs, targets, return_dict=True)
        loss = float(logs["loss"])
        progress.step += 1
        progress.losses.append(loss)
        if not math.isfinite(loss):
            raise ValueError(
                "The loss is not finite; a lower learning rate or `clip_norm` may "
                f"help. {received(loss=loss, step=progress.step)}"
            )
        progress.seconds = self._seconds()
        self._log("steps", {"loss": loss, **rates})

    def _seconds(self) -> float:
        """Returns the wall time of the first process, so all stop at the same step."""
        seconds = time.perf_counter() - self._started
        if self.distribution is None or self.budget.minutes is None:
            return seconds
        return float(self.distribution.gather(np.array([seconds]))[0])

    def _end_epoch(self) -> None:
        progress = self.progress
        epoch = progress.step / self.budget.steps_per_epoch
        metrics = {
            "epoch": round(epoch, 3),
            "seconds": round(progress.seconds, 3),
            "loss": float(np.mean(progress.losses)),
        }
        progress.losses = []
        # Evaluate and save the same weights: the moving averages, if there are any.
        with averaged_weights(self.model):
            if self.is_over and self.statistics is not None:
                update_batch_norm_statistics(self.model, self.statistics())
            if self.evaluate is not None:
                metrics |= self.evaluate(self.is_over)
            is_best = self._is_best(metrics, epoch)
            progress.history.append(metrics)
            if self.save is not None:
                self.save(is_best, self.is_over)
        if self.distribution is not None:
            self.distribution.barrier()
        progress.seconds = self._seconds()
        self._log("epochs", metrics)

    def _is_best(self, metrics: dict[str, float], epoch: float) -> bool:
        progress = self.progress
        value = metrics.get(self.monitor or "")
        if value is None:
            return False
        if progress.best is None or value > progress.best:
            progress.best, progress.best_epoch = value, epoch
            return True
        if self.patience is not None and epoch - progress.best_epoch >= self.patience:
            progress.stopped = f"no improvement since epoch {progress.best_epoch:g}"
        return False

    def _checkpoint_is_due(self) -> bool:
        progress = self.progress
        if self.is_over or progress.step % self.evaluate_every == 0:
            return True
        by_steps = self.checkpoint_steps or 0
        if by_steps and progress.step % by_steps == 0:
            return True
        return (
            self.world_size == 1
            and progress.seconds - self._saved_at >= 60 * self.checkpoint_minutes
        )

    def _log(self, kind: str, values: dict[str, float]) -> None:
        for log in self.logs:
            log.write(kind, self.progress.step, values)


def _encoded(state: Any) -> Any:
    """Converts a state to JSON; some iterators of grain return bytes."""
    return {"bytes": state.decode("latin-1")} if isinstance(state, bytes) else state


def _decoded(state: Any) -> Any:
    if isinstance(state, dict) and set(state) == {"bytes"}:
        return state["bytes"].encode("latin-1")
    return state
