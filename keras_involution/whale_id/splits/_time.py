"""Splits by time: earlier photos for training, later photos for testing."""

from __future__ import annotations

import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.splits._units import (
    NEITHER,
    TEST_KNOWN,
    TEST_NEW,
    TRAIN,
)
from keras_involution.whale_id.tables import UNKNOWN
from keras_involution.whale_id.tables._dates import parse_dates


def time_split(
    table: pd.DataFrame, unit: pd.Series, test: float, cutoff: str | None
) -> pd.Series:
    """Splits by date; the date of an encounter is that of its first photo."""
    days = _days(table)
    days = days.groupby(unit).transform("min").where(days.notna())
    dated = days.notna()
    first = _cutoff(days[dated], test) if cutoff is None else _day(cutoff)
    known = table["identity"] != UNKNOWN
    early = dated & (days < first)
    trained = set(table["identity"][early & known])
    parts = pd.Series(NEITHER, table.index, dtype=object)
    parts = parts.mask(early & known, TRAIN)
    late = dated & ~early
    parts = parts.mask(late, TEST_NEW)
    return parts.mask(late & table["identity"].isin(trained), TEST_KNOWN)


def _days(table: pd.DataFrame) -> pd.Series:
    if "date" not in table:
        raise ValueError(f"The table has no dates. {received(columns=list(table))}")
    written = table["date"].dropna()
    parsed = parse_dates(written)
    if parsed.isna().any():
        rows = {row: written[row] for row in written.index[parsed.isna()][:5]}
        raise ValueError(
            "Some dates cannot be read, or the order of day and month is ambiguous; "
            f"write 2019-05-30. {received(rows=rows)}"
        )
    return parsed.dt.normalize().reindex(table.index)


def _cutoff(days: pd.Series, test: float) -> pd.Timestamp:
    """The first day of the test for which its fraction is nearest to `test`."""
    counts = days.value_counts().sort_index()
    from_day_on = counts[::-1].cumsum()[::-1]
    if len(counts) < 2:
        raise ValueError(
            f"All photos are from one day. {received(days=list(counts.index))}"
        )
    misses = (from_day_on.iloc[1:] / counts.sum() - test).abs()
    return pd.Timestamp(misses.index[int(misses.argmin())])


def _day(text: str) -> pd.Timestamp:
    try:
        day = pd.Timestamp(text)
    except ValueError as error:
        raise ValueError(f"`cutoff` is not a date. {received(cutoff=text)}") from error
    return day.tz_localize("UTC") if day.tzinfo is None else day.tz_convert("UTC")
