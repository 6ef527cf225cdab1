"""The folder beside an output in which its parts gather, each complete or not there."""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from keras_involution import __version__, _arguments
from keras_involution._arguments import received
from keras_involution._files import replaced_file
from keras_involution.whale_id.embed import FLIPS
from keras_involution.whale_id.images import ON_ERROR
from keras_involution.whale_id.runs import RunFiles
from keras_involution.whale_id.tables.write import plain_table

_SETTINGS = "settings.json"
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Job:
    """A table to embed, cut into parts of as many rows each.

    The parts do not depend on how many processes write them. They lie in a folder that
    is named after everything that they depend on.

    Args:
        table: DataFrame as of `read_table`.
        out: Path of the file that they become.
        settings: Dictionary, as JSON has it: what the parts depend on.
    """

    table: pd.DataFrame
    out: Path
    settings: dict[str, Any]

    @property
    def root(self) -> Path:
        return self.out.with_name(f"{self.out.name}.parts")

    @functools.cached_property
    def folder(self) -> Path:
        text = json.dumps(self.settings, sort_keys=True)
        return self.root / hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def count(self) -> int:
        return -(-len(self.table) // self.settings["part_size"])

    def rows(self, number: int) -> range:
        size = self.settings["part_size"]
        return range(number * size, min(len(self.table), (number + 1) * size))

    def path(self, number: int) -> Path:
        return self.folder / f"{number:06}.npz"

    def missing(self) -> list[int]:
        """Numbers of the parts that nobody has written yet."""
        there = {entry.name for entry in os.scandir(self.folder)}
        return [n for n in range(self.count) if self.path(n).name not in there]


def build_job(
    table: pd.DataFrame,
    files: RunFiles,
    out: str | Path,
    *,
    flip: str = "average",
    margin: float = 0.0,
    head: bool = False,
    on_error: str = "stop",
    part_size: int = 1024,
) -> Job:
    """What is to be embedded, with what, as its parts have to know it.

    Args:
        table: DataFrame as of `read_table`.
        files: `RunFiles` of the network.
        out: Path of the file to be written.
        flip: As of `embed`.
        margin: As of `embed`.
        head: Boolean, whether logits of the run's head are wanted.
        on_error: As of `embed`.
        part_size: Integer, photographs of a part.

    Returns:
        `Job`.

    Raises:
        ValueError: If an option is unknown or out of range.
    """
    settings = {
        "table": _table_digest(table),
        "model": _file_digest(files.model),
        "head": _file_digest(files.head) if head and files.head else None,
        "flip": _arguments.one_of(flip, FLIPS, "flip"),
        "margin": _arguments.not_negative(margin, "margin"),
        "on_error": _arguments.one_of(on_error, ON_ERROR, "on_error"),
        "part_size": _arguments.positive_integer(part_size, "part_size"),
        "version": __version__,
    }
    return Job(table, Path(out), settings)


def open_folder(job: Job, force: bool = False) -> None:
    """Makes the folder of the parts, or goes on with the one that is there.

    Raises:
        ValueError: If there are parts of something else and `force` is false, which
            removes them.
    """
    others = [path for path in _folders(job.root) if path != job.folder]
    if others and not force:
        raise ValueError(
            f"{job.root} holds parts with another {_differences(others, job)}, of a "
            "command that was not finished. `--force` removes them and starts anew. "
            + received(out=str(job.out))
        )
    for other in others:
        shutil.rmtree(other, ignore_errors=True)
    job.folder.mkdir(parents=True, exist_ok=True)
    with replaced_file(job.folder / _SETTINGS, force=True) as draft:
        draft.write_text(json.dumps(job.settings, indent=2), "utf-8")


def remove_folder(job: Job) -> None:
    """Removes the parts, and what held them if nothing else is in it."""
    shutil.rmtree(job.folder, ignore_errors=True)
    if job.root.is_dir() and not any(job.root.iterdir()):
        job.root.rmdir()


def _folders(root: Path) -> list[Path]:
    return [path.parent for path in root.glob(f"*/{_SETTINGS}")]


def _differences(others: Sequence[Path], job: Job) -> str:
    names: set[str] = set()
    for other in others:
        try:
            found = json.loads((other / _SETTINGS).read_text("utf-8"))
        except (OSError, ValueError):
            continue
        names |= {n for n, value in job.settings.items() if found.get(n) != value}
    return ", ".join(sorted(names)) or "table or model"


def _table_digest(table: pd.DataFrame) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(table), _ROWS_AT_ONCE):
        rows = plain_table(table.iloc[start : start + _ROWS_AT_ONCE])
        text = rows.to_csv(index=False, quoting=csv.QUOTE_ALL)
        digest.update(text.encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
