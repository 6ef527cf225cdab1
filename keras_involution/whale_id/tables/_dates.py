"""Dates as people and cameras write them."""

from __future__ import annotations

import re

import pandas as pd

# 2019:05:30 12:00:00, as cameras write it; the time is left to pandas.
_CAMERA = re.compile(r"(\d{4}):(\d\d):(\d\d)(?=$|[ T])")
_NUMBERS = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d\d)(?=$|[ T,])")
# Of a time alone, or the name of a day, pandas would make a date of today.
_YEAR = re.compile(r"\d{4}|\d[^\d:]+\w+[^\d:]+\d\d")
# Years before photography are clocks that were never set.
_FIRST_YEAR = 1826


def parse_dates(written: pd.Series) -> pd.Series:
    """Times in UTC, `NaT` where nothing is said or what is said is no date.

    30.5.2019 has the day in front. So has 30/5/2019, and 5/30/2019 has the month: the
    other dates of the column follow them. Where they disagree or none of them tells,
    5/6/2019 is no date.

    Args:
        written: Series of strings, missing where nothing is said.

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
    """What a date by itself says comes first; `None` where it says nothing."""
    first, second = int(match[1]), int(match[3])
    if match[2] == "." or first == second or (first > 12) == (second > 12):
        return None
    return "day" if first > 12 else "month"


def _iso(match: re.Match[str], order: str | None) -> str | None:
    """The date with the year in front; `None` where day and month are not known."""
    order = "day" if match[2] == "." or match[1] == match[3] else _order(match) or order
    if order is None:
        return None
    day, month = (match[1], match[3]) if order == "day" else (match[3], match[1])
    # Two digits of a year mean what strptime takes them for.
    century = "" if len(match[4]) == 4 else "20" if int(match[4]) < 69 else "19"
    rest = match.string[match.end() :]
    return f"{century}{match[4]}-{int(month):02}-{int(day):02}{rest}"
