"""One run of training, step by step."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from keras_involution import training
from keras_involution._arguments import received
from keras_involution.whale_id.assemble import (
    Classes,
    build_network,
    build_training_model,
    is_held_out,
)
from keras_involution.whale_id.config import TrainConfig
from keras_involution.whale_id.heads import ArcFace, save_centers
from keras_involution.whale_id.logs import Log
from keras_involution.whale_id.pipeline import Photographs, training_batches
from keras_involution.whale_id.train.folder import (
    CHECKPOINT,
    CLASSES,
    HEAD,
    MODEL,
    write_text,
)
from keras_involution.whale_id.train.progress import Progress
from keras_involution.whale_id.validate import validate

_TIME_UP = "the time was up"


class TrainingRun:
    """One run: what does not change, and its progress."""

    def __init__(
        self,
        rows: pd.DataFrame,
        table: pd.DataFrame,
        config: TrainConfig,
        folder: Path,
    ) -> None:
        keras.utils.set_random_seed(config.seed)
        self.config, self.folder, self.rows = config, folder, rows
        self.validation = _validation_rows(table, config.held_out)
        self.steps = max(1, len(rows) // config.batch_size)
        self.total = self.steps * config.epochs
        self.classes = Classes.of(rows)
        self.numbers = self.classes.numbers(rows)
        self.network = build_network(config)
        self.model = build_training_model(
            self.network, self.classes, config, self.steps
        )
        self.progress = Progress()
        self.logs: list[Log] = []
        side = config.image_size
        self.stream = training_batches(
            Photographs(rows, (side, side), config.margin, config.on_error),
            self.numbers["identity"],
            config.batch_size,
            sampling=config.sampling,
            views=config.views,
            seed=config.seed,
            threads=config.threads,
            workers=config.workers,
        )
        if config.early_stop:
            _check_validation(self.validation, rows)
        goes_on = (folder / CHECKPOINT).exists()
        _keep_classes(folder / CLASSES, self.classes, rows, goes_on)

    def restore(self) -> None:
        path = self.folder / CHECKPOINT
        if path.exists():
            saved = training.load_checkpoint(path, self.model)
            self.progress = Progress(**saved)
            if self.progress.stopped == _TIME_UP:
                self.progress.stopped = ""
            self.stream.set_state(_decoded(self.progress.stream))

    def go(self, on_progress: Callable[[Progress, int, int], None]) -> None:
        progress, config = self.progress, self.config
        begun = time.perf_counter() - progress.seconds
        while progress.step < self.total and not progress.stopped:
            loss = self._step()
            progress.seconds = time.perf_counter() - begun
            self._log("steps", {"loss": loss, "learning_rate": self._rate()})
            if progress.step % self.steps == 0:
                self._end_epoch()
            if config.minutes and progress.seconds >= 60 * config.minutes:
                progress.stopped = progress.stopped or _TIME_UP
            if progress.step % config.checkpoint_every == 0:
                self._save_checkpoint()
            on_progress(progress, self.total, self.steps)
        self._save_checkpoint()
        if not config.early_stop or progress.best_epoch == 0:
            self._save_network()
        else:
            self.network = keras.saving.load_model(self.folder / MODEL)

    def _step(self) -> float:
        batch = next(self.stream)
        rows = batch["row"]
        targets = {name: values[rows] for name, values in self.numbers.items()}
        inputs = {"images": batch["images"], **targets}
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

    def _save_checkpoint(self) -> None:
        self.progress.stream = _encoded(self.stream.get_state())
        training.save_checkpoint(
            self.folder / CHECKPOINT, self.model, vars(self.progress)
        )

    def _save_network(self) -> None:
        """Complete or not at all, with the averaged weights if there are any."""
        draft = self.folder / f".draft.{os.getpid()}.keras"
        with training.averaged_weights(self.model.optimizer):
            self.network.save(draft)
            head = self.model.get_layer("identity_head")
            if isinstance(head, ArcFace):
                save_centers(self.folder / HEAD, head, self.classes.identities)
        os.replace(draft, self.folder / MODEL)
        if self.config.average_momentum is not None:
            self.network = keras.saving.load_model(self.folder / MODEL)


def _validation_rows(table: pd.DataFrame, held_out: str) -> pd.DataFrame:
    split = table.get("split", pd.Series("train", index=table.index))
    inside = (split == "train") & is_held_out(table, held_out)
    return table[(split == "val") | inside].reset_index(drop=True)


def _check_validation(validation: pd.DataFrame, rows: pd.DataFrame) -> None:
    known = validation["identity"].isin(rows["identity"]).sum()
    if not known:
        raise ValueError(
            "`early_stop` looks at photographs whose `split` is val, or that are held "
            "out of train, and whose animal is trained on; there are none. "
            + received(validation=len(validation))
        )


def _keep_classes(
    path: Path, classes: Classes, rows: pd.DataFrame, goes_on: bool
) -> None:
    """Writes what the run is about; one that goes on must be about the same."""
    shown = [c for c in ("path", "identity", "species", "bbox") if c in rows]
    # The folder of the photographs may have another name by now.
    names = [os.path.basename(str(path)) for path in rows["path"]]
    text = rows[shown].assign(path=names).to_csv(index=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    facts = json.dumps({**vars(classes), "photographs": digest}, indent=1)
    if goes_on and path.exists() and path.read_text("utf-8") != facts:
        raise ValueError(
            "A run goes on with the photographs and animals that it began with. "
            + received(file=str(path), photographs=len(rows))
        )
    write_text(path, facts)


def _encoded(state: Any) -> Any:
    return {"bytes": state.decode("latin-1")} if isinstance(state, bytes) else state


def _decoded(state: Any) -> Any:
    if isinstance(state, dict) and set(state) == {"bytes"}:
        return state["bytes"].encode("latin-1")
    return state
