"""Where the figures of a run go: CSV and TensorBoard always, trackers when asked."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import logging
import uuid
from pathlib import Path
from typing import Any, Protocol

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._files import write_text

logger = logging.getLogger("keras_involution.training")
TRACKERS = ("wandb", "trackio")
TRACKER = "tracker.txt"


class Log(Protocol):
    """Receives the figures of steps and epochs."""

    def write(self, kind: str, step: int, figures: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class CsvLog:
    """`steps.csv` and `epochs.csv` in the folder of the run, a row at once.

    Args:
        folder: Path of the folder.
        step: Integer, the last step that counts: rows of later ones, left by a run
            that was killed after its last checkpoint, are dropped.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.folder = folder
        for kind in ("steps", "epochs"):
            _keep_until(folder / f"{kind}.csv", step)

    def write(self, kind: str, step: int, figures: dict[str, float]) -> None:
        path = self.folder / f"{kind}.csv"
        row = {"step": step, **figures}
        columns = _with_columns(path, list(row))
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writerow({k: _exact(v) for k, v in row.items()})

    def close(self) -> None:
        pass


class TensorBoardLog:
    """Event files that TensorBoard shows.

    Args:
        folder: Path of the folder of the run; they go to `tensorboard` in it.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary import Writer

        self.writer = Writer(str(folder / "tensorboard"))

    def write(self, kind: str, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(f"{kind}/{name}", float(value), step)

    def close(self) -> None:
        self.writer.close()


class TrackerLog:
    """Weights & Biases or Trackio, which share the three functions used here.

    Args:
        name: `"wandb"` or `"trackio"`.
        folder: Path of the folder of the run, which names it.
        settings: Dictionary of the settings of the run.
        project: String, under which the tracker files it.

    Raises:
        ValueError: If the tracker is unknown or not installed.
    """

    def __init__(
        self, name: str, folder: Path, settings: dict[str, Any], project: str
    ) -> None:
        _arguments.one_of(name, TRACKERS, "track")
        if importlib.util.find_spec(name) is None:
            raise ValueError(
                f"`{name}` is not installed; `pip install {name}` does it. "
                + received(track=name)
            )
        self.tracker = importlib.import_module(name)
        mark = _mark(folder)
        # Both go on with a run that they know: W&B by its id, Trackio by its name.
        names = {
            "wandb": {"id": mark, "name": folder.name},
            "trackio": {"name": f"{folder.name}-{mark}"},
        }
        self.tracker.init(
            project=project, config=settings, resume="allow", **names[name]
        )

    def write(self, kind: str, step: int, figures: dict[str, float]) -> None:
        self.tracker.log({f"{kind}/{k}": v for k, v in figures.items()}, step=step)

    def close(self) -> None:
        self.tracker.finish()


def open_logs(
    folder: Path,
    step: int,
    settings: dict[str, Any],
    track: str | None,
    project: str,
) -> list[Log]:
    """All logs of a run.

    Args:
        folder: Path of the folder of the run.
        step: Integer, the last step that counts.
        settings: Dictionary of the settings of the run.
        track: Name of a tracker, or `None`.
        project: String, under which the tracker files it.

    Returns:
        List of logs.

    Raises:
        ValueError: If the tracker is unknown or not installed.
    """
    logs: list[Log] = []
    if track is not None:
        logs.append(TrackerLog(track, folder, settings, project))
    logs.append(CsvLog(folder, step))
    if importlib.util.find_spec("tensorboard") is None:
        logger.info("tensorboard is not installed: the figures go to CSV files only")
    else:
        logs.append(TensorBoardLog(folder))
    return logs


def _mark(folder: Path) -> str:
    """What the tracker knows this run by, whenever it goes on."""
    path = folder / TRACKER
    if not path.exists():
        path.write_text(uuid.uuid4().hex[:8], "utf-8")
    return path.read_text("utf-8")


def _keep_until(path: Path, step: int) -> None:
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        lines = file.read().splitlines(keepends=True)
    # A killed process may have left half a line.
    kept = [
        line
        for line in lines[1:]
        if line.endswith("\n") and int(line.split(",", 1)[0]) <= step
    ]
    write_text(path, "".join(lines[:1] + kept))


def _with_columns(path: Path, names: list[str]) -> list[str]:
    """The columns of a file, which gets those of `names` that it lacks."""
    lines = [""]
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            # The first line alone: steps are many, and new columns are rare.
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
