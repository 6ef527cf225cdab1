"""Files of decisions, written by the report or by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from keras_involution._arguments import received
from keras_involution._files import reading
from keras_involution.whale_id.tables._columns import check_columns
from keras_involution.whale_id.tables._frames import read_cells

COLUMNS = ("image_id", "decision", "identity", "into", "who", "when")
ASSIGN, NEW, REJECT = "accept", "new", "reject"
MERGE, RENAME, SPLIT = "merge", "rename", "split"
DECISIONS = (ASSIGN, NEW, REJECT, MERGE, RENAME, SPLIT)

_GUARDED = re.compile(r"'(?='*[=+\-@\t\r])")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


def read_decisions(path: str | Path) -> pd.DataFrame:
    """Reads decisions from a CSV file.

    | decision | meaning |
    | --- | --- |
    | `accept` | the photo `image_id` shows the animal `identity` |
    | `new` | it shows an animal that is not in the table, called `identity` if given |
    | `reject` | it does not show `identity`; this is recorded in the history |
    | `merge` | `identity` and `into` are one animal, called `into` |
    | `rename` | `identity` is now called `into` |
    | `split` | `image_id` does not show `identity`, but another animal `into` |

    A report puts an apostrophe before names that a spreadsheet would run as a formula.
    The apostrophe is removed here.

    Args:
        path: CSV file with the columns `decision`, `image_id` and `identity`, and
            optionally `into`, `who` and `when`.

    Returns:
        DataFrame of strings with those columns; missing values are empty strings.

    Raises:
        ValueError: If the file is damaged or a decision is unknown or incomplete.
    """
    with reading(path, "The decisions"):
        frame = read_cells(Path(path))
        check_columns(frame, ("image_id", "decision", "identity"))
        frame = frame.reindex(columns=list(COLUMNS), fill_value="")
        for name in COLUMNS:
            frame[name] = [_unguarded(str(value).strip()) for value in frame[name]]
        check_decisions(frame)
    return frame


def check_decisions(frame: pd.DataFrame) -> None:
    """Raises `ValueError` if a decision is unknown or lacks a value that it needs."""
    needed = {
        ASSIGN: ("image_id", "identity"),
        NEW: ("image_id",),
        REJECT: ("image_id",),
        MERGE: ("identity", "into"),
        RENAME: ("identity", "into"),
        SPLIT: ("image_id", "identity", "into"),
    }
    for row, decision in frame["decision"].items():
        if decision not in needed:
            raise ValueError(
                f"A decision must be one of {', '.join(DECISIONS)}. "
                f"{received(row=row, decision=decision)}"
            )
        missing = [name for name in needed[decision] if not frame.at[row, name]]
        if missing:
            raise ValueError(
                f"The decision {decision} needs {' and '.join(missing)}. "
                f"{received(row=row)}"
            )


def _unguarded(text: str) -> str:
    guarded = _GUARDED.match(text) and not _NUMBER.fullmatch(text[1:])
    return text[1:] if guarded else text
