"""The folder of a run: names of its files, and checks before it is written."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import shutil
from pathlib import Path
from typing import Any

import keras

from keras_involution._arguments import received
from keras_involution._files import write_text
from keras_involution.training.logs import TRACKER
from keras_involution.training.shards import find_shards
from keras_involution.training.trainer import CHECKPOINT

BEGUN = ".begun"
"""Marks a folder whose preparation was interrupted."""
SETTINGS, SPLIT, CACHE = "run.json", "split.csv", "cache"
START, BEST, LAST = "start", "best", "last"
TEST, PREDICTIONS = "test.json", "predictions.csv"
CONFUSION, CURVES = "confusion.png", "curves.png"
STEPS, EPOCHS = "steps.csv", "epochs.csv"
OWN = {
    SETTINGS, SPLIT, CACHE, START, BEST, LAST, TEST, PREDICTIONS, CONFUSION, CURVES,
    CHECKPOINT, STEPS, EPOCHS, "tensorboard", TRACKER, "wandb",
}  # fmt: skip
LIBRARIES = ("keras", "numpy", "pillow", "tensorflow", "jax", "torch")


def prepare_folder(folder: Path, force: bool) -> None:
    """Creates the folder of a new run; with `force`, removes an existing run.

    Raises:
        ValueError: If the folder holds a run and `force` is false, or it holds files
            that do not belong to a run.
    """
    found = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if found and not found & {SETTINGS, BEGUN}:
        raise ValueError(
            "The folder is not empty and holds no run; use a new or empty folder. "
            + received(output=str(folder))
        )
    own = OWN | {part.name for part in find_shards(folder / CHECKPOINT)}
    foreign = sorted(name for name in found - own if not name.startswith("."))
    if foreign:
        raise ValueError(
            f"The folder holds {foreign[0]}, which does not belong to a run; use a "
            f"new or empty folder. {received(output=str(folder))}"
        )
    if SETTINGS in found and not force:
        raise ValueError(
            f"The folder holds a run: `resume {folder}` continues it, `--force` "
            f"replaces it. {received(output=str(folder))}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BEGUN).touch()
    (folder / SETTINGS).unlink(missing_ok=True)
    for name in found & own:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def check_apart(folder: Path, *paths: str | Path | None) -> None:
    """Raises `ValueError` if a path is inside `folder`, which a run may clear."""
    for path in paths:
        place = Path(path or "/").resolve()
        if folder.resolve() in (place, *place.parents):
            raise ValueError(
                "The inputs of a run must be outside its folder. "
                + received(output=str(folder), path=str(path))
            )


def write_json(path: Path, data: dict[str, Any]) -> None:
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_run(folder: Path) -> dict[str, Any]:
    """Reads `run.json`: settings, recipe, versions and the digest of the split.

    Raises:
        ValueError: If there is no run, or its split has changed.
    """
    path = folder / SETTINGS
    if not path.is_file():
        raise ValueError(
            f"Expected the folder of a run with a file {SETTINGS}. "
            + received(run=str(folder))
        )
    found = json.loads(path.read_text("utf-8"))
    if found["split"] != digest(folder / SPLIT):
        raise ValueError(
            f"{SPLIT} has changed since the run started, so test images may have been "
            f"used for training. {received(run=str(folder))}"
        )
    return found


def versions() -> dict[str, str]:
    """Returns the backend and the versions of Python and the libraries."""
    found = {"python": platform.python_version(), "backend": keras.config.backend()}
    for name in ("keras-involution", *LIBRARIES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
