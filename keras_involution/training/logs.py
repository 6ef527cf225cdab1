"""Logs of losses and metrics: CSV, TensorBoard, and experiment trackers."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._files import write_text

TRACKERS = ("wandb", "trackio")
LOGS = ("csv", "tensorboard", *TRACKERS)
TRACKER = "tracker.txt"


class Log(Protocol):
    """Receives the losses of steps and the metrics of epochs."""

    def write(self, kind: str, step: int, values: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class CsvLog:
    """Writes `steps.csv` and `epochs.csv` in the folder of the run, row by row.

    `keras.callbacks.CSVLogger` logs only epochs, and keeps rows of steps that a resumed
    run repeats.

    Args:
        folder: Path of the folder.
        step: Integer, the step of the last checkpoint. Rows of later steps are removed,
            because a resumed run repeats these steps.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.folder = folder
        for kind in ("steps", "epochs"):
            _keep_until(folder / f"{kind}.csv", step)

    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        path = self.folder / f"{kind}.csv"
        row = {"step": step, **values}
        columns = _with_columns(path, list(row))
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writerow({k: _exact(v) for k, v in row.items()})

    def close(self) -> None:
        pass


class TensorBoardLog:
    """Writes event files for TensorBoard, without TensorFlow.

    Args:
        folder: Path of the folder of the run; the files are in its subfolder
            `tensorboard`.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary import Writer

        self.writer = Writer(str(folder / "tensorboard"))

    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"{kind}/{name}", float(value), step)

    def close(self) -> None:
        self.writer.close()


class TrackerLog:
    """Logs to Weights & Biases or Trackio, which have the same interface.

    Args:
        name: `"wandb"` or `"trackio"`.
        folder: Path of the folder of the run; its name is part of the run's name.
        settings: Dictionary of the settings of the run.
        project: String, the project in the tracker.
    """

    def __init__(
        self, name: str, folder: Path, settings: dict[str, Any], project: str
    ) -> None:
        self.tracker = importlib.import_module(name)
        mark = _mark(folder)
        # To resume a run, W&B needs its id, Trackio its name.
        names = {
            "wandb": {"id": mark, "name": folder.name},
            "trackio": {"name": f"{folder.name}-{mark}"},
        }
        self.tracker.init(
            project=project, config=settings, resume="allow", **names[name]
        )

    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        self.tracker.log({f"{kind}/{k}": v for k, v in values.items()}, step=step)

    def close(self) -> None:
        self.tracker.finish()


def check_logs(names: Sequence[str]) -> None:
    """Checks the names of logs.

    Raises:
        ValueError: If one is unknown or not installed.
    """
    for name in names:
        _arguments.one_of(name, LOGS, "log")
        if name != "csv" and importlib.util.find_spec(name) is None:
            raise ValueError(
                f"`{name}` is not installed. Run `pip install {name}`. "
                + received(log=name)
            )


def open_logs(
    folder: Path,
    step: int,
    settings: dict[str, Any],
    names: Sequence[str] = (),
    project: str = "keras-involution",
) -> list[Log]:
    """Opens the logs of a run.

    Args:
        folder: Path of the folder of the run.
        step: Integer, the step of the last checkpoint.
        settings: Dictionary of the settings of the run.
        names: Sequence of `"csv"`, `"tensorboard"`, `"wandb"` and `"trackio"`. CSV is
            always written, TensorBoard whenever it is installed.
        project: String, the project in a tracker.

    Returns:
        List of logs.

    Raises:
        ValueError: If a name is unknown or not installed.
    """
    check_logs(names)
    logs: list[Log] = [CsvLog(folder, step)]
    if importlib.util.find_spec("tensorboard") is not None:
        logs.append(TensorBoardLog(folder))
    trackers = [name for name in names if name in TRACKERS]
    return [*logs, *(TrackerLog(name, folder, settings, project) for name in trackers)]


def _mark(folder: Path) -> str:
    """Returns the id of the run in a tracker; creates and saves it if missing."""
    path = folder / TRACKER
    if not path.exists():
        path.write_text(uuid.uuid4().hex[:8], "utf-8")
    return path.read_text("utf-8")


def _keep_until(path: Path, step: int) -> None:
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        lines = file.read().splitlines(keepends=True)
    # The last line may be incomplete if the process was killed.
    kept = [
        line
        for line in lines[1:]
        if line.endswith("\n") and int(line.split(",", 1)[0]) <= step
    ]
    write_text(path, "".join(lines[:1] + kept))


def _with_columns(path: Path, names: list[str]) -> list[str]:
    """Returns the columns of a file, after adding missing columns to it."""
    lines = [""]
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            # Read only the header: the file can be long, and new columns are rare.
            lines = [file.readline()]
    columns = [name for name in lines[0].strip().split(",") if name]
    missing = [name for name in names if name not in columns]
    if not missing:
        return columns
    if columns:
        with path.open(newline="", encoding="utf-8") as file:
            lines = file.read().splitlines()
    empty = "," * len(missing)
    wider = [",".join(columns + missing), *(line + empty for line in lines[1:])]
    write_text(path, "".join(f"{line}\r\n" for line in wider))
    return columns + missing


def _exact(value: Any) -> Any:
    return repr(float(value)) if isinstance(value, float) else value
