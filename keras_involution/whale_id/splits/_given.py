"""Uses a split that is given in the table."""

from __future__ import annotations

import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.splits._units import (
    NEITHER,
    TEST,
    TEST_KNOWN,
    TEST_NEW,
    TRAIN,
)

_WORDS = {
    **dict.fromkeys(("train", "training", "database"), TRAIN),
    **dict.fromkeys(("test", "testing", "val", "valid", "validation", "query"), TEST),
    **dict.fromkeys(("test_known", "val_known"), TEST_KNOWN),
    **dict.fromkeys(("test_new", "test_unknown", "val_new", "val_unknown"), TEST_NEW),
    **dict.fromkeys(("", "nan", "none", "unused"), NEITHER),
}


_VALIDATION = tuple(word for word in _WORDS if word.startswith("val"))
_NOTHING = ("", "nan", "none")


def given_split(table: pd.DataFrame, given: str) -> pd.Series:
    """The values of the column, mapped to the four words of the package or ""."""
    return _words(table, given).map(_WORDS).astype(object)


def is_training(table: pd.DataFrame, given: str) -> pd.Series:
    """Whether each row is for training according to the column, in any spelling."""
    return given_split(table, given) == TRAIN


def is_validation(table: pd.DataFrame, given: str) -> pd.Series:
    """Whether each row is for validation according to the column, in any spelling."""
    return _words(table, given).isin(_VALIDATION)


def is_held_out(rows: pd.DataFrame, column: str) -> pd.Series:
    """Whether each row is held out for validation by a split within train."""
    if column not in rows:
        return pd.Series(False, index=rows.index)
    return ~(is_training(rows, column) | _words(rows, column).isin(_NOTHING))


def _words(table: pd.DataFrame, given: str) -> pd.Series:
    if given not in table:
        raise ValueError(f"The column does not exist. {received(given=given)}")
    words = table[given].fillna("").astype(str).str.strip().str.lower()
    strange = sorted(set(words) - set(_WORDS))
    if strange:
        raise ValueError(
            f"The column {given!r} contains neither train nor test. "
            f"{received(words=strange[:10])}"
        )
    return words
