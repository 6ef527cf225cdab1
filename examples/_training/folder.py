"""The folder of a run: what is in it, and that nobody's files are overwritten."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
from pathlib import Path
from typing import Any

import keras

from keras_involution._arguments import received
from keras_involution._files import write_text

SETTINGS, SPLIT, CACHE = "settings.json", "split.csv", "cache"
START, BEST, LAST = "start", "best", "last"
TEST, PREDICTIONS = "test.json", "predictions.csv"
CONFUSION, CURVES = "confusion.png", "curves.png"
OWN = {
    SETTINGS, SPLIT, CACHE, START, BEST, LAST, TEST, PREDICTIONS, CONFUSION, CURVES,
    "checkpoint.npz", "history.csv", "tensorboard", "tracker.txt", "wandb",
}  # fmt: skip
LIBRARIES = ("keras", "numpy", "pillow", "tensorflow", "jax", "torch")


def prepare_folder(folder: Path, force: bool) -> None:
    """Makes room for a new run.

    Raises:
        ValueError: If the folder holds a run and `force` is false, or anything else.
    """
    found = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    strange = sorted(name for name in found - OWN if not name.startswith("."))
    if strange:
        raise ValueError(
            f"The folder holds {strange[0]}, which is of no run, so it is left alone; "
            f"name a new or an empty one. {received(output=str(folder))}"
        )
    # Without settings it is what a preparation that was interrupted has left.
    if SETTINGS in found and not force:
        raise ValueError(
            f"There is a run in the folder: `resume {folder}` goes on with it, "
            f"`--force` begins anew. {received(output=str(folder))}"
        )
    (folder / SETTINGS).unlink(missing_ok=True)
    for name in found & OWN:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def write_json(path: Path, data: dict[str, Any]) -> None:
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def read_settings(folder: Path) -> dict[str, Any]:
    """`choices`, `recipe` and `versions` of the run in a folder."""
    path = folder / SETTINGS
    if not path.is_file():
        raise ValueError(
            f"Expected the folder of a run, with {SETTINGS} in it. "
            + received(run=str(folder))
        )
    return json.loads(path.read_text("utf-8"))


def versions() -> dict[str, str]:
    """With what a run was begun."""
    found = {"python": platform.python_version(), "backend": keras.config.backend()}
    for name in ("keras-involution", *LIBRARIES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
