"""The training and validation photos of a run."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pandas as pd

from keras_involution._arguments import received
from keras_involution._files import write_text
from keras_involution.whale_id.assemble import Classes
from keras_involution.whale_id.splits._given import (
    is_held_out,
    is_training,
    is_validation,
)


def validation_rows(table: pd.DataFrame, held_out: str) -> pd.DataFrame:
    """The validation rows of a run: split "val", and rows held out of train."""
    held = is_held_out(table, held_out)
    if "split" in table:
        held = held & is_training(table, "split") | is_validation(table, "split")
    return table[held].reset_index(drop=True)


def check_validation(validation: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Raises `ValueError` if no validation row can be used for early stopping."""
    known = validation["identity"].isin(rows["identity"]).sum()
    if not known:
        raise ValueError(
            "`early_stop` needs photos whose `split` is val, or that are held out of "
            "train, and whose animal is in training; there are none. "
            + received(validation=len(validation))
        )


def keep_classes(
    path: Path, classes: Classes, rows: pd.DataFrame, goes_on: bool, data: bytes
) -> None:
    """Writes the classes of the run; a resumed run must have the same."""
    shown = [c for c in ("path", "identity", "species", "bbox") if c in rows]
    # The folder of the photos may have been renamed.
    names = [os.path.basename(str(path)) for path in rows["path"]]
    text = rows[shown].assign(path=names).to_csv(index=False)
    digest = hashlib.sha256(text.encode() + data).hexdigest()
    facts = json.dumps({**vars(classes), "photos": digest}, indent=1)
    if goes_on and path.exists() and path.read_text("utf-8") != facts:
        raise ValueError(
            "A resumed run must have the same photos and animals as before. "
            + received(file=str(path), photos=len(rows))
        )
    write_text(path, facts)
