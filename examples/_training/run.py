"""One run: segments of steps, evaluations and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from examples._training.batches import Batches, held_out_batches
from examples._training.folder import CHECKPOINT, HISTORY
from examples._training.metrics import figures_of
from examples._training.settings import Progress, Settings
from examples._training.tables import write_table
from keras_involution import RedNetImageClassifier, training
from keras_involution._arguments import received

PART_BYTES = 16 * 2**20
"""Of the files of a checkpoint, which are to be carried from machine to machine."""
RENEWED = 5_000
"""Pictures over which the statistics of normalisation are taken in the end."""
SEGMENT = 20
"""Steps between two looks at the clock."""


class TrainingRun:
    """A run that a checkpoint in its folder continues.

    The learning rate and the size of the pictures follow the share of the run that is
    done: of its steps, or of its minutes where these are over sooner. So a schedule
    reaches its end on a slow machine too.

    Args:
        settings: `Settings`.
        model: The network to train.

    Raises:
        ValueError: If the folder holds another run, or the pictures are no batch.
    """

    def __init__(self, settings: Settings, model: RedNetImageClassifier) -> None:
        self.settings, self.model = settings, model
        recipe = settings.recipe
        self.steps = len(settings.rows) // settings.batch_size
        if not self.steps:
            raise ValueError(
                "The pictures to train on must be one batch at least. "
                + received(pictures=len(settings.rows), batch_size=settings.batch_size)
            )
        self.total = self.steps * settings.epochs
        self.schedule = recipe.build_schedule(
            settings.batch_size, self.steps, settings.epochs
        )
        rate = recipe.rate(settings.batch_size)
        optimizer = recipe.build_optimizer(rate, self.total)
        model.compile(optimizer, recipe.build_loss())
        teach = settings.distillation
        self.trained = teach(model) if teach else model
        self.progress = Progress(settings.described)
        path = settings.output / CHECKPOINT
        if path.exists():
            self.progress = Progress(**training.load_checkpoint(path, model))
            if self.progress.described != settings.described:
                raise ValueError(
                    f"The folder holds a run with {self.progress.described}. "
                    + received(**settings.described)
                )
        self.started = time.perf_counter() - self.progress.seconds
        self.saved = self.progress.seconds

    @property
    def over(self) -> bool:
        return self.progress.share >= 1

    def go(self, report: Callable[[dict[str, float]], None]) -> None:
        """Trains to the end; `report` is handed every evaluation."""
        every = max(1, self.steps // self.settings.evaluations_an_epoch)
        while not self.over:
            self._segment(every)
            progress = self.progress
            if progress.step % every == 0 or self.over:
                self._validate()
                self.save()
                report(progress.history[-1])
            elif progress.seconds - self.saved >= 60 * self.settings.checkpoint_minutes:
                self.save()

    def save(self) -> None:
        path = self.settings.output / CHECKPOINT
        training.save_checkpoint(
            path, self.model, asdict(self.progress), part_bytes=PART_BYTES
        )
        self.saved = self.progress.seconds

    def _segment(self, every: int) -> None:
        """Up to `SEGMENT` steps at one rate and size."""
        settings, progress = self.settings, self.progress
        first = progress.step
        last = min(first + SEGMENT, self.total, (first // every + 1) * every)
        middle = self._share((first + last) / 2)
        batches = Batches(
            settings.pictures,
            settings.rows,
            range(first, last),
            settings.batch_size,
            settings.recipe.image_size(middle, settings.image_size),
            settings.recipe,
            settings.seed,
            self.model.num_classes,
            self.model.preprocessor,
            getattr(settings.distillation, "targets", None),
        )
        # Not `fit`: at its end Keras puts the moving averages in place of the weights.
        self.trained.reset_metrics()
        for step, (images, targets) in enumerate(batches.ahead(), first):
            self.model.optimizer.learning_rate = self._rate(step)
            logs = self.trained.train_on_batch(images, targets, return_dict=True)
        progress.losses.append(float(logs["loss"]))
        if not math.isfinite(progress.losses[-1]):
            raise ValueError(f"The loss is no number after step {last}.")
        progress.step, progress.seconds = last, time.perf_counter() - self.started
        progress.share = self._share(last)

    def _rate(self, step: int) -> float:
        return float(self.schedule(round(self._share(step) * self.total)))

    def _share(self, step: float) -> float:
        """The share of the run that is done, of its steps or of its time."""
        share, minutes = step / self.total, self.settings.minutes
        if minutes:
            share = max(share, self.progress.seconds / (60 * minutes))
        return min(share, 1.0)

    def _validate(self) -> None:
        """A row of the history, and the weights that it speaks of."""
        best = max((row["top_1"] for row in self.progress.history), default=-1.0)
        # The averages where the recipe keeps them: what is measured is what is kept.
        with training.averaged_weights(self.model.optimizer):
            if self.over:
                self._renew()
            figures = self._figures()
            self.settings.keep(self.model, figures["top_1"] > best)
        self.progress.history.append(figures)
        self._write_history()

    def _renew(self) -> None:
        """Statistics of whole pictures: training saw parts of them, enlarged."""
        settings, size = self.settings, self.settings.batch_size
        rows = np.random.default_rng((settings.seed, 2)).permutation(settings.rows)
        rows = rows[: max(size, min(len(rows), RENEWED) // size * size)]
        training.renew_statistics(
            self.model,
            held_out_batches(
                settings.pictures.images,
                rows,
                settings.image_size,
                size,
                self.model.preprocessor,
            ),
        )

    def _figures(self) -> dict[str, float]:
        settings, progress = self.settings, self.progress
        rows = settings.held_out_rows[:: 1 if self.over else settings.held_out_step]
        found = figures_of(
            scores_of(
                self.model,
                settings.pictures.images,
                rows,
                settings.image_size,
                settings.batch_size,
            ),
            settings.pictures.labels[rows],
        )
        figures = {
            "step": progress.step,
            "epoch": round(progress.step / self.steps, 3),
            "minutes": round(progress.seconds / 60, 2),
            "image_size": settings.recipe.image_size(
                progress.share, settings.image_size
            ),
            "learning_rate": float(self.model.optimizer.learning_rate),
            "loss": round(float(np.mean(progress.losses)), 4),
            "pictures": len(rows),
            **{name: round(value, 4) for name, value in found.items()},
        }
        progress.losses = []
        progress.seconds = time.perf_counter() - self.started
        return figures

    def _write_history(self) -> None:
        path = self.settings.output / HISTORY
        with write_table(path, list(self.progress.history[-1])) as writer:
            writer.writerows(row.values() for row in self.progress.history)


def scores_of(
    model: RedNetImageClassifier,
    images: np.ndarray,
    rows: np.ndarray,
    size: int,
    batch_size: int,
) -> np.ndarray:
    """The logits of whole pictures, in the order of `rows`: float32 (N, classes)."""
    batches = held_out_batches(images, rows, size, batch_size, model.preprocessor)
    return np.concatenate(
        [np.asarray(model.predict_on_batch(batch), "float32") for batch in batches]
    )
