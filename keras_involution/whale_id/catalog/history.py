"""The history of a table: persons, decisions, times and previous identities."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from keras_involution._files import atomic_write, reading
from keras_involution.whale_id.tables._columns import check_columns
from keras_involution.whale_id.tables._frames import read_cells
from keras_involution.whale_id.tables.write import write_csv

COLUMNS = ("step", "when", "who", "decision", "image_id", "before", "after")
UNDO = "undo"


def history_path(table: str | Path) -> Path:
    """The path of a table's history, in the same folder."""
    return Path(table).with_suffix(".history.csv")


def read_history(path: str | Path) -> pd.DataFrame:
    """Reads a history; it has no rows if the file does not exist.

    Args:
        path: CSV file that `write_history` wrote.

    Returns:
        DataFrame with the columns `step` (integers from 1), `when`, `who`, `decision`,
        `image_id`, `before` and `after`, the identities.

    Raises:
        ValueError: If the file is damaged.
    """
    if not Path(path).exists():
        return empty_history()
    with reading(path, "The history"):
        frame = read_cells(Path(path))
        check_columns(frame, COLUMNS)
        return frame[list(COLUMNS)].astype({"step": int})


def empty_history() -> pd.DataFrame:
    """A history without rows."""
    return pd.DataFrame(columns=list(COLUMNS)).astype({"step": int})


def write_history(history: pd.DataFrame, path: str | Path) -> None:
    """Writes a history, replacing the previous one."""
    with atomic_write(path, force=True, suffixes=(".csv",)) as draft:
        write_csv(history, draft)


def last_step(history: pd.DataFrame) -> int | None:
    """The last step that has not been undone, or `None`."""
    steps: list[int] = []
    for step, rows in history.groupby("step", sort=True):
        if (rows["decision"] == UNDO).all():
            steps = steps[:-1]
        else:
            steps.append(int(str(step)))
    return steps[-1] if steps else None
