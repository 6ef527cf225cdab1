"""Dates of cameras and of spreadsheets, and ambiguous dates."""

from __future__ import annotations

import pandas as pd
import pytest

from keras_involution.whale_id import check_table, split_table
from keras_involution.whale_id.tables._dates import parse_dates
from tests.marks import one_backend
from tests.whale_id.image_files import animals, listed

pytestmark = one_backend


def days(*written) -> list[str | None]:
    found = parse_dates(pd.Series(written, dtype=object))
    return [None if pd.isna(day) else f"{day:%Y-%m-%d}" for day in found]


@pytest.mark.parametrize(
    "written, day",
    [
        ("2019:05:30 12:01:02", "2019-05-30"),
        ("2019:05:30", "2019-05-30"),
        ("30.05.2019", "2019-05-30"),
        ("3.5.2019 10:15", "2019-05-03"),
        ("30/05/2019", "2019-05-30"),
        ("5-30-19", "2019-05-30"),
        ("5/5/98", "1998-05-05"),
        ("2019-05-30T23:30:00-02:00", "2019-05-31"),
        ("May 4, 2021", "2021-05-04"),
        ("4-May-21", "2021-05-04"),
        ("2019", "2019-01-01"),
        (" 20190530 ", "2019-05-30"),
        ("0000:00:00 00:00:00", None),
        ("12:01:02", None),
        ("5/6/2019", None),
        ("31.02.2019", None),
        ("1586000000", None),
        ("soon", None),
        (None, None),
    ],
)
def test_one_date(written, day):
    assert days(written) == [day]


def test_the_column_tells_what_comes_first():
    assert days("5/6/2019", "13/6/2019") == ["2019-06-05", "2019-06-13"]
    assert days("5/6/2019", "6/13/2019") == ["2019-05-06", "2019-06-13"]
    both = days("5/6/2019", "13/6/2019", "6/13/2019", "5.6.2019")
    assert both == [None, "2019-06-13", "2019-06-13", "2019-06-05"]


def test_dates_of_cameras_split_by_time(tmp_path):
    table = animals(tmp_path, {"A": 2, "B": 2})
    table["date"] = [f"20{18 + n}:05:30 12:00:00" for n in range(4)]
    assert check_table(table) == []
    split = split_table(table, "time", test=0.25)
    assert split["split"].to_list() == ["train"] * 3 + ["test_known"]


def test_dates_that_may_mean_two_days_are_named(tmp_path):
    table = animals(tmp_path, {"A": 2})
    table["date"] = ["05/06/2019", "07/06/2019"]
    assert [p.kind for p in check_table(table)] == ["date", "date"]
    with pytest.raises(ValueError, match=r"day and month.*Received: rows=\{0: '05/06"):
        split_table(listed({"A": 2}, date=table["date"].to_list()), "time")
