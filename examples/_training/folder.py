"""The folder of a run: what is in it, and that nobody's files are overwritten."""

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
from keras_involution.training.parts import find_parts

BEGUN = ".begun"
"""Marks what a preparation that was interrupted has left."""
SETTINGS, SPLIT, CACHE = "settings.json", "split.csv", "cache"
START, BEST, LAST = "start", "best", "last"
TEST, PREDICTIONS = "test.json", "predictions.csv"
CONFUSION, CURVES = "confusion.png", "curves.png"
CHECKPOINT, HISTORY = "checkpoint.npz", "history.csv"
OWN = {
    SETTINGS, SPLIT, CACHE, START, BEST, LAST, TEST, PREDICTIONS, CONFUSION, CURVES,
    CHECKPOINT, HISTORY, "tensorboard", "tracker.txt", "wandb",
}  # fmt: skip
LIBRARIES = ("keras", "numpy", "pillow", "tensorflow", "jax", "torch")


def prepare_folder(folder: Path, force: bool) -> None:
    """Makes room for a new run.

    Raises:
        ValueError: If the folder holds a run and `force` is false, or anything else.
    """
    found = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if found and not found & {SETTINGS, BEGUN}:
        raise ValueError(
            "The folder is not empty and holds no run; name a new or an empty one. "
            + received(output=str(folder))
        )
    own = OWN | {part.name for part in find_parts(folder / CHECKPOINT)}
    strange = sorted(name for name in found - own if not name.startswith("."))
    if strange:
        raise ValueError(
            f"The folder holds {strange[0]}, which is of no run, so it is left alone; "
            f"name a new or an empty one. {received(output=str(folder))}"
        )
    if SETTINGS in found and not force:
        raise ValueError(
            f"There is a run in the folder: `resume {folder}` goes on with it, "
            f"`--force` begins anew. {received(output=str(folder))}"
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
    """Raises `ValueError` if a run would remove what it is to read."""
    for path in paths:
        place = Path(path or "/").resolve()
        if folder.resolve() in (place, *place.parents):
            raise ValueError(
                "What a run begins from must lie outside of its folder. "
                + received(output=str(folder), path=str(path))
            )


def write_json(path: Path, data: dict[str, Any]) -> None:
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_settings(folder: Path) -> dict[str, Any]:
    """`choices`, `recipe` and `versions` of the run in a folder."""
    path = folder / SETTINGS
    if not path.is_file():
        raise ValueError(
            f"Expected the folder of a run, with {SETTINGS} in it. "
            + received(run=str(folder))
        )
    settings = json.loads(path.read_text("utf-8"))
    if settings["split"] != digest(folder / SPLIT):
        raise ValueError(
            f"{SPLIT} is not as the run began with it: what was to test may have been "
            f"trained on. {received(run=str(folder))}"
        )
    return settings


def versions() -> dict[str, str]:
    """With what a run was begun."""
    found = {"python": platform.python_version(), "backend": keras.config.backend()}
    for name in ("keras-involution", *LIBRARIES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
