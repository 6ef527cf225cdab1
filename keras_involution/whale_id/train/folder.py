"""The folder of a run: what lies in it, and who may write there."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from keras_involution._arguments import received
from keras_involution.training.logs import TRACKER
from keras_involution.whale_id.config import TrainConfig, load_config

CHECKPOINT, CONFIG, MODEL = "checkpoint.npz", "config.yaml", "model.keras"
CLASSES, HEAD = "classes.json", "head.npz"
ASIDE = ".replaced"
# Without these no step was taken: a start that failed is no run.
_OF_STEPS = (CHECKPOINT, MODEL, HEAD, "steps.csv", "epochs.csv")
_FILES = (
    CHECKPOINT,
    CONFIG,
    MODEL,
    CLASSES,
    HEAD,
    "steps.csv",
    "epochs.csv",
    "tensorboard",
    TRACKER,
)


@contextlib.contextmanager
def replaced_run(folder: Path) -> Iterator[None]:
    """Puts the run in a folder aside until the new one has saved its first checkpoint.

    If that never happens, the old run is back.
    """
    _settle(folder)
    aside = folder / ASIDE
    for path in _used(folder):
        aside.mkdir(exist_ok=True)
        os.replace(path, aside / path.name)
    try:
        yield
    finally:
        _settle(folder)


def _settle(folder: Path) -> None:
    """Ends a replacement, also one whose process was killed.

    A checkpoint is the new run's: the first file that is put aside is the old one.
    """
    aside = folder / ASIDE
    if (folder / CHECKPOINT).exists():
        shutil.rmtree(aside, ignore_errors=True)
    if not aside.is_dir():
        return
    for path in sorted(aside.iterdir(), key=lambda path: path.name == CHECKPOINT):
        here = folder / path.name
        if here.is_dir():
            shutil.rmtree(here)
        os.replace(path, here)
    aside.rmdir()


def _used(folder: Path) -> list[Path]:
    return [folder / name for name in _FILES if (folder / name).exists()]


def finished_run(folder: Path) -> Path:
    """Where the last finished run lies: aside, until its replacement gets going."""
    if any((folder / name).exists() for name in (MODEL, CHECKPOINT)):
        return folder
    aside = folder / ASIDE
    return aside if (aside / MODEL).exists() else folder


def prepare(folder: Path, config: TrainConfig, *, resume: bool, force: bool) -> bool:
    """Makes the folder ready; whether the run in it goes on."""
    used = [name for name in _OF_STEPS if (folder / name).exists()]
    if used and not (resume or force):
        raise ValueError(
            "The folder holds a run already: `resume` goes on with it, `force` "
            f"replaces it. {received(folder=str(folder))}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if used and (folder / CONFIG).exists():
        _check_same(folder / CONFIG, config)
    return bool(used)


def _check_same(path: Path, config: TrainConfig) -> None:
    """A run only goes on with the settings that it began with, or with more time."""
    free = ("minutes", "threads", "workers", "checkpoint_every")
    before, now = load_config(path).to_dict(), config.to_dict()
    changed = {n: now[n] for n in now if now[n] != before[n] and n not in free}
    if changed:
        raise ValueError(
            "A run goes on with the settings that it began with. " + received(**changed)
        )
