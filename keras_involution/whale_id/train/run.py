"""One run of training, step by step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from keras_involution import training
from keras_involution._arguments import received
from keras_involution.distribution import Distribution, Hosts
from keras_involution.training.logs import Log
from keras_involution.whale_id.assemble import (
    Classes,
    build_network,
    build_training_model,
)
from keras_involution.whale_id.config import TrainConfig
from keras_involution.whale_id.pipeline import Photographs, training_batches
from keras_involution.whale_id.train.folder import CHECKPOINT, CLASSES, MODEL
from keras_involution.whale_id.train.progress import Progress
from keras_involution.whale_id.train.saved import (
    TIME_UP,
    load_progress,
    place_in_stream,
    save_network,
    save_progress,
)
from keras_involution.whale_id.train.subject import (
    check_validation,
    keep_classes,
    validation_rows,
)
from keras_involution.whale_id.validate import validate


class TrainingRun:
    """One run: what does not change, and its progress."""

    def __init__(
        self,
        rows: pd.DataFrame,
        table: pd.DataFrame,
        config: TrainConfig,
        folder: Path,
        distribution: Distribution | None = None,
    ) -> None:
        keras.utils.set_random_seed(config.seed)
        self.distribution = distribution
        self.hosts = Hosts() if distribution is None else distribution.hosts
        self.config, self.folder, self.rows = config, folder, rows
        self.validation = validation_rows(table, config.held_out)
        self.steps = max(1, len(rows) // config.batch_size)
        self.total = self.steps * config.epochs
        self.classes = Classes.of(rows)
        self.numbers = self.classes.numbers(rows)
        self.network = build_network(config)
        self.model = build_training_model(
            self.network, self.classes, config, self.steps
        )
        self.progress = Progress(processes=self.hosts.processes)
        self.logs: list[Log] = []
        self.stream = self._stream(0)
        if config.early_stop:
            check_validation(self.validation, rows)
        if self.hosts.process == 0:
            goes_on = (folder / CHECKPOINT).exists()
            keep_classes(folder / CLASSES, self.classes, rows, goes_on)

    def _stream(self, start: int) -> Any:
        config, side = self.config, self.config.image_size
        return training_batches(
            Photographs(self.rows, (side, side), config.margin, config.on_error),
            self.numbers["identity"],
            config.batch_size,
            sampling=config.sampling,
            views=config.views,
            seed=config.seed,
            threads=config.threads,
            workers=config.workers,
            hosts=self.hosts,
            start=start,
        )

    def restore(self) -> None:
        found = load_progress(self.folder, self.model)
        if found is None:
            return
        self.progress = found
        if found.processes == self.hosts.processes:
            self.stream.set_state(place_in_stream(found))
        else:
            # Shared by others, the stream has no state for these: it goes on behind
            # the steps that were taken. Pictures left out on the way are not counted.
            self.stream = self._stream(found.step * self.config.batch_size)
            found.processes = self.hosts.processes

    def go(self, on_progress: Callable[[Progress, int, int], None]) -> None:
        progress, config = self.progress, self.config
        begun = time.perf_counter() - progress.seconds
        while progress.step < self.total and not progress.stopped:
            loss = self._step()
            progress.seconds = time.perf_counter() - begun
            self._log("steps", {"loss": loss, "learning_rate": self._rate()})
            if progress.step % self.steps == 0:
                self._end_epoch()
            if config.minutes and self._seconds() >= 60 * config.minutes:
                progress.stopped = progress.stopped or TIME_UP
            if progress.step % config.checkpoint_every == 0:
                self._save_progress()
            on_progress(progress, self.total, self.steps)
        self._save_progress()
        if not config.early_stop or progress.best_epoch == 0:
            self._save_network()
        else:
            self.network = keras.saving.load_model(self.folder / MODEL)

    def _seconds(self) -> float:
        """By the clock of the first process: all must stop at the same step."""
        if self.distribution is None:
            return self.progress.seconds
        return float(self.distribution.gather(np.array([self.progress.seconds]))[0])

    def _save_progress(self) -> None:
        save_progress(
            self.folder, self.model, self.progress, self.stream, self.distribution
        )

    def _step(self) -> float:
        batch = next(self.stream)
        rows = batch["row"]
        targets = {name: values[rows] for name, values in self.numbers.items()}
        # The heads need a class for their margins; what is not known has no loss.
        classes = {name: np.maximum(values, 0) for name, values in targets.items()}
        inputs = {"images": batch["images"], **classes}
        logs = self.model.train_on_batch(inputs, targets, return_dict=True)
        loss = float(logs["loss"])
        self.progress.step += 1
        self.progress.losses.append(loss)
        if not math.isfinite(loss):
            raise ValueError(
                "The loss is no number any more; a lower learning rate or `clip_norm` "
                f"may help. {received(loss=loss, step=self.progress.step)}"
            )
        return loss

    def _end_epoch(self) -> None:
        progress = self.progress
        epoch = progress.step // self.steps
        figures = {
            "epoch": epoch,
            "loss": float(np.mean(progress.losses)),
            "seconds": round(progress.seconds, 3),
        }
        progress.losses = []
        due = epoch % self.config.validate_every == 0 or progress.step == self.total
        if len(self.validation) and due:
            with training.averaged_weights(self.model.optimizer):
                margin = self.config.margin
                found = validate(self.network, self.rows, self.validation, margin)
                figures.update(found)
            if "map_at_5" in found:
                self._judge(found["map_at_5"], epoch)
        progress.history.append(figures)
        self._log("epochs", figures)

    def _judge(self, value: float, epoch: int) -> None:
        progress, patience = self.progress, self.config.early_stop
        if value > progress.best:
            progress.best, progress.best_epoch = value, epoch
            if patience:
                self._save_network()
        elif patience and epoch - progress.best_epoch >= patience:
            progress.stopped = f"no better since epoch {progress.best_epoch}"

    def _rate(self) -> float:
        inner = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        return float(inner.optimizers[-1].learning_rate)

    def _log(self, kind: str, figures: dict[str, float]) -> None:
        for log in self.logs:
            log.write(kind, self.progress.step, figures)

    def _save_network(self) -> None:
        names = self.classes.identities
        if self.hosts.process == 0:
            save_network(self.folder, self.network, self.model, names)
        if self.distribution is not None:
            self.distribution.barrier()
        if self.config.average_momentum is not None:
            self.network = keras.saving.load_model(self.folder / MODEL)
