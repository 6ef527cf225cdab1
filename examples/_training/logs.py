"""Where the figures of a run go beside its own `history.csv`."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_involution._arguments import received
from keras_involution.training.logs import Log, TensorBoardLog, TrackerLog

TRACKERS = ("csv", "tensorboard", "wandb", "trackio")


def open_trackers(
    names: Sequence[str], folder: Path, settings: dict[str, Any]
) -> list[Log]:
    """The trackers by their names; `"csv"` is always there and no tracker.

    Raises:
        ValueError: If one is unknown or not installed.
    """
    check_trackers(names)
    logs: list[Log] = []
    for name in names:
        if name == "tensorboard":
            logs.append(TensorBoardLog(folder))
        elif name != "csv":
            logs.append(TrackerLog(name, folder, settings, project="rednet"))
    return logs


def check_trackers(names: Sequence[str]) -> None:
    """Before the work, not after it."""
    for name in names:
        if name not in TRACKERS:
            raise ValueError(f"Expected some of {TRACKERS}. {received(track=name)}")
        if name != "csv" and importlib.util.find_spec(name) is None:
            raise ValueError(
                f"`{name}` is not installed; `pip install {name}` does it. "
                + received(track=name)
            )
