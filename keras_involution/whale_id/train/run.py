"""The data, validation and files of an embedding network for the `Trainer`."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from keras_involution._files import atomic_write
from keras_involution.distribution import Distribution, Hosts
from keras_involution.training import Budget, Trainer
from keras_involution.whale_id.assemble import (
    Classes,
    build_rate,
    build_training_model,
)
from keras_involution.whale_id.config import TrainConfig
from keras_involution.whale_id.heads import ArcFace, save_centers
from keras_involution.whale_id.pipeline import Views, training_batches
from keras_involution.whale_id.run_folder import CHECKPOINT, CLASSES, HEAD, MODEL
from keras_involution.whale_id.train.inputs import Inputs
from keras_involution.whale_id.train.subject import (
    check_validation,
    keep_classes,
    validation_rows,
)
from keras_involution.whale_id.validate import validate

# Settings that may change when a run is resumed.
FREE = ("minutes", "num_threads", "num_workers", "checkpoint_every")
EMBED_BATCH = 32


class Batches:
    """The `TrainingData` of an embedding network: views and class numbers."""

    def __init__(
        self,
        views: Views,
        numbers: dict[str, np.ndarray],
        config: TrainConfig,
        hosts: Hosts,
    ) -> None:
        self.views, self.numbers = views, numbers
        self.config, self.hosts = config, hosts
        self.stream: Any = None

    def seek(self, step: int, state: Any) -> None:
        self.close()
        # With another number of processes the stream has no state: it starts after the
        # steps that were taken. Images left out before are not counted.
        start = 0 if state is not None else step * self.config.batch_size
        config = self.config
        self.stream = training_batches(
            self.views,
            self.numbers["identity"],
            config.batch_size,
            sampling=config.sampling,
            augmentation=config.augmentation,
            seed=config.seed,
            num_threads=config.num_threads,
            num_workers=config.num_workers,
            hosts=self.hosts,
            start=start,
        )
        if state is not None:
            self.stream.set_state(state)

    def next_batch(self, fraction: float) -> tuple[Any, Any]:
        batch = next(self.stream)
        rows = batch["row"]
        targets = {name: values[rows] for name, values in self.numbers.items()}
        # The heads need a class for their margins; unknown classes have no loss.
        classes = {name: np.maximum(values, 0) for name, values in targets.items()}
        return {self.views.kind: batch[self.views.kind], **classes}, targets

    def get_state(self) -> Any:
        return self.stream.get_state()

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()
        self.stream = None


class TrainingRun:
    """A network, its data and files, and their `Trainer`."""

    def __init__(
        self,
        rows: pd.DataFrame,
        table: pd.DataFrame,
        config: TrainConfig,
        folder: Path,
        inputs: Inputs,
        distribution: Distribution | None = None,
    ) -> None:
        keras.utils.set_random_seed(config.seed)
        self.config, self.folder, self.rows = config, folder, rows
        self.inputs, self.distribution = inputs, distribution
        self.validation = validation_rows(table, config.held_out)
        self.classes = Classes.of(rows)
        steps = max(1, len(rows) // config.batch_size)
        budget = Budget(config.epochs, steps, config.minutes)
        self.network = inputs.network()
        self.model = build_training_model(self.network, self.classes, config)
        if config.early_stop:
            check_validation(self.validation, rows)
        if self._is_main:
            goes_on = (folder / CHECKPOINT).exists()
            facts = inputs.facts(rows)
            keep_classes(folder / CLASSES, self.classes, rows, goes_on, facts)
        hosts = Hosts() if distribution is None else distribution.hosts
        settings = config.to_dict()
        self.trainer = Trainer(
            self.model,
            Batches(inputs.views(rows), self.classes.numbers(rows), config, hosts),
            budget,
            folder,
            learning_rate=build_rate(config, steps),
            evaluate=self._evaluate,
            monitor="map_at_5",
            patience=config.early_stop,
            save=self._save,
            checkpoint_steps=config.checkpoint_every,
            settings={name: settings[name] for name in settings if name not in FREE},
            distribution=distribution,
        )

    @property
    def _is_main(self) -> bool:
        return self.distribution is None or self.distribution.is_main_process

    def estimated_seconds(self) -> float:
        """Estimates the duration of the whole run from the time of one forward pass.

        A step takes about as long as three forward passes. A validation embeds every
        known photo and its mirror image.
        """
        blanks = self.inputs.blanks(EMBED_BATCH)
        self.network.embed(blanks)  # compiles
        begun = time.perf_counter()
        self.network.embed(blanks)
        forward = (time.perf_counter() - begun) / (2 * EMBED_BATCH)
        epochs = self.config.epochs
        validated = len(self.rows) + len(self.validation)
        validations = (
            epochs // self.config.validate_every if len(self.validation) else 0
        )
        return forward * (3 * epochs * len(self.rows) + 2 * validations * validated)

    def _evaluate(self, is_over: bool) -> dict[str, float]:
        budget = self.trainer.budget
        epoch = self.trainer.progress.step // budget.steps_per_epoch
        due = is_over or epoch % self.config.validate_every == 0
        if not due or not len(self.validation):
            return {}
        embed = functools.partial(self.inputs.embed, self.network)
        return validate(embed, self.rows, self.validation)

    def _save(self, is_best: bool, is_over: bool) -> None:
        """Writes the best network if the run can stop early, and otherwise the last."""
        stops = self.config.early_stop and self.trainer.progress.best is not None
        if not self._is_main or not (is_best if stops else is_over):
            return
        with atomic_write(self.folder / MODEL, force=True) as draft:
            self.network.save(draft)
        head = self.model.get_layer("identity_head")
        if isinstance(head, ArcFace):
            save_centers(self.folder / HEAD, head, self.classes.identities)
