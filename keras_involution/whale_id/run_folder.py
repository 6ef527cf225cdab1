"""The files of a run, and their replacement by another run."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from keras_involution._arguments import received
from keras_involution.training.logs import TRACKER
from keras_involution.training.shards import find_shards
from keras_involution.training.trainer import CHECKPOINT

CONFIG, MODEL = "config.yaml", "model.keras"
CLASSES, HEAD = "classes.json", "head.npz"
ASIDE = ".replaced"
# Without these files no step was completed: a failed start is not a run.
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
    """Moves the run in a folder aside until the new one has saved a checkpoint.

    If that never happens, the old run is restored.
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
    """Completes a replacement, even if its process was killed.

    A checkpoint belongs to the new run: the old run is moved aside first.
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
    own = [folder / name for name in _FILES if (folder / name).exists()]
    return [*own, *find_shards(folder / CHECKPOINT)]


def finished_run(folder: Path) -> Path:
    """The folder of the last finished run, which is aside until a new checkpoint."""
    if any((folder / name).exists() for name in (MODEL, CHECKPOINT)):
        return folder
    aside = folder / ASIDE
    return aside if (aside / MODEL).exists() else folder


def prepare(folder: Path, *, resume: bool, force: bool) -> bool:
    """Prepares the folder; returns whether its run is resumed."""
    used = [name for name in _OF_STEPS if (folder / name).exists()]
    if used and not (resume or force):
        raise ValueError(
            "The folder already has a run: `resume` continues it, `force` replaces "
            f"it. {received(folder=str(folder))}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return bool(used)
