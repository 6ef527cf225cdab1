"""Training: from a table and settings to a folder with a network in it."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
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
    training_rows,
)
from keras_involution.whale_id.config import TrainConfig
from keras_involution.whale_id.heads import ArcFace, save_centers
from keras_involution.whale_id.logs import Log, open_logs
from keras_involution.whale_id.model import EmbeddingNetwork
from keras_involution.whale_id.pipeline import Photographs, training_batches
from keras_involution.whale_id.validate import validate

CHECKPOINT, CONFIG, MODEL = "checkpoint.npz", "config.yaml", "model.keras"
CLASSES, HEAD = "classes.json", "head.npz"
_FILES = (
    CHECKPOINT,
    CONFIG,
    MODEL,
    CLASSES,
    HEAD,
    "steps.csv",
    "epochs.csv",
    "tensorboard",
)

_TIME_UP = "the time was up"


@dataclass
class Progress:
    """Where a run stands; written with every checkpoint.

    Attributes:
        step: Steps taken.
        losses: Losses of the steps of the epoch under way.
        seconds: Wall time of all parts of the run.
        best: Best value on the validation photographs.
        best_epoch: Its epoch.
        stopped: Why the run ended, or nothing.
        stream: Place in the stream of photographs.
        history: Figures of every epoch.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    best: float = -1.0
    best_epoch: int = 0
    stopped: str = ""
    stream: Any = None
    history: list[dict[str, float]] = field(default_factory=list)


def train(
    table: pd.DataFrame,
    config: TrainConfig,
    folder: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    track: str | None = None,
    on_progress: Callable[[Progress, int, int], None] | None = None,
) -> EmbeddingNetwork:
    """Trains a network on the photographs of a table.

    The folder then holds `model.keras`, the network; `config.yaml`, all settings;
    `classes.json`, the identities; `head.npz`, the centres of the head; `steps.csv` and
    `epochs.csv`, the figures; and `checkpoint.npz`, from which a run that was
    interrupted in any way goes on with the losses that it would have had.

    Args:
        table: DataFrame with `path` and `identity`; `bbox`, `species` and `split`
            where known. Rows of the split "val" are what `early_stop` looks at.
        config: `TrainConfig`.
        folder: Path of the folder.
        resume: Boolean, goes on with the run in the folder, if there is one.
        force: Boolean, replaces the run in the folder.
        track: `"wandb"` or `"trackio"`, or `None`.
        on_progress: Function that is called after every step with the progress, the
            steps of the whole run and those of an epoch.

    Returns:
        `EmbeddingNetwork` as saved.

    Raises:
        ValueError: If the folder holds a run and neither `resume` nor `force` is set,
            a setting does not fit, or the table has nothing to train on.
        PhotographError: If a picture cannot be used and `on_error` is `"stop"`.
    """
    folder = Path(folder)
    rows = training_rows(table)
    resumed = _prepare(folder, config, resume=resume, force=force)
    run = _Run(rows, table, config, folder)
    if resumed:
        run.restore()
    run.logs = open_logs(folder, run.progress.step, config.to_dict(), track)
    try:
        run.go(on_progress or (lambda *_: None))
    finally:
        for log in run.logs:
            log.close()
    return run.network


class _Run:
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
        self.validation = _validation_rows(table)
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
        _write(folder / CLASSES, json.dumps(vars(self.classes), indent=1))

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
            self._judge(figures["map_at_5"], epoch)
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


def _prepare(folder: Path, config: TrainConfig, *, resume: bool, force: bool) -> bool:
    """Makes the folder ready; whether the run in it goes on."""
    used = [name for name in _FILES if (folder / name).exists()]
    if used and not (resume or force):
        raise ValueError(
            "The folder holds a run already: `resume` goes on with it, `force` "
            f"replaces it. {received(folder=str(folder))}"
        )
    if used and force and not resume:
        for name in used:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        used = []
    folder.mkdir(parents=True, exist_ok=True)
    if used and (folder / CONFIG).exists():
        _check_same(folder / CONFIG, config)
    config.save(folder / CONFIG)
    return bool(used)


def _check_same(path: Path, config: TrainConfig) -> None:
    """A run only goes on with the settings that it began with, or with more time."""
    from keras_involution.whale_id.config import load_config

    free = ("minutes", "threads", "workers", "checkpoint_every")
    before, now = load_config(path).to_dict(), config.to_dict()
    changed = {n: now[n] for n in now if now[n] != before[n] and n not in free}
    if changed:
        raise ValueError(
            "A run goes on with the settings that it began with. " + received(**changed)
        )


def _validation_rows(table: pd.DataFrame) -> pd.DataFrame:
    if "split" not in table:
        return table.iloc[:0]
    return table[table["split"] == "val"].reset_index(drop=True)


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, "utf-8")
    os.replace(draft, path)


def _encoded(state: Any) -> Any:
    return {"bytes": state.decode("latin-1")} if isinstance(state, bytes) else state


def _decoded(state: Any) -> Any:
    if isinstance(state, dict) and set(state) == {"bytes"}:
        return state["bytes"].encode("latin-1")
    return state
