"""A split that the table brings along."""

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


def given_split(table: pd.DataFrame, given: str) -> pd.Series:
    """The words of the column in the four of the package, or ""."""
    if given not in table:
        raise ValueError(f"There is no such column. {received(given=given)}")
    words = table[given].fillna("").astype(str).str.strip().str.lower()
    strange = sorted(set(words) - set(_WORDS))
    if strange:
        raise ValueError(
            f"The column {given!r} says neither train nor test. "
            f"{received(words=strange[:10])}"
        )
    return words.map(_WORDS).astype(object)
