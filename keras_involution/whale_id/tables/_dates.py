"""Parses dates written by people and cameras."""

from __future__ import annotations

import re

import pandas as pd

# 2019:05:30 12:00:00, as written by cameras; pandas parses the time.
_CAMERA = re.compile(r"(\d{4}):(\d\d):(\d\d)(?=$|[ T])")
_NUMBERS = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d\d)(?=$|[ T,])")
# From a time alone, or the name of a day, pandas would make a date of today.
_YEAR = re.compile(r"\d{4}|\d[^\d:]+\w+[^\d:]+\d\d")
# Years before photography come from clocks that were not set.
_FIRST_YEAR = 1826


def parse_dates(written: pd.Series) -> pd.Series:
    """Parses dates to UTC times; missing or invalid dates become `NaT`.

    In 30.5.2019 and 30/5/2019 the day comes first, in 5/30/2019 the month. Other dates
    of the column, such as 5/6/2019, are read in the same order. If the column has both
    orders or gives no evidence, they are not dates.

    Args:
        written: Series of strings or missing values.

    Returns:
        Series of timestamps with the same index.
    """
    texts = written.dropna().astype(str).str.strip()
    found = texts.map(_NUMBERS.match)
    orders = {_order(match) for match in found if match} - {None}
    order = orders.pop() if len(orders) == 1 else None
    plain = [
        _camera(text) if match is None else _iso(match, order)
        for text, match in zip(texts, found)
    ]
    parsed = pd.to_datetime(
        pd.Series(plain, texts.index, dtype=object),
        errors="coerce",
        format="mixed",
        utc=True,
    )
    return parsed.where(parsed.dt.year >= _FIRST_YEAR).reindex(written.index)


def _camera(text: str) -> str | None:
    return _CAMERA.sub(r"\1-\2-\3", text) if _YEAR.search(text) else None


def _order(match: re.Match[str]) -> str | None:
    """The order of day and month that a date implies; `None` if it is ambiguous."""
    first, second = int(match[1]), int(match[3])
    if match[2] == "." or first == second or (first > 12) == (second > 12):
        return None
    return "day" if first > 12 else "month"


def _iso(match: re.Match[str], order: str | None) -> str | None:
    """The date with the year first; `None` if the order of day and month is unknown."""
    order = "day" if match[2] == "." or match[1] == match[3] else _order(match) or order
    if order is None:
        return None
    day, month = (match[1], match[3]) if order == "day" else (match[3], match[1])
    # Two-digit years are interpreted as in strptime.
    century = "" if len(match[4]) == 4 else "20" if int(match[4]) < 69 else "19"
    rest = match.string[match.end() :]
    return f"{century}{match[4]}-{int(month):02}-{int(day):02}{rest}"
