"""The table of breaks matches the package, and the runner reports undetected breaks."""

from __future__ import annotations

import os
from dataclasses import replace
from unittest import mock

import pytest

from tests import breaks
from tests.break_table import BREAKS, PACKAGE
from tests.marks import PLACES, any_backend, full, one_backend


@any_backend
def test_every_text_occurs_once():
    for each in BREAKS:
        text = (breaks.ROOT / PACKAGE / each.file).read_text("utf-8")
        assert text.count(each.old) == 1, each.name
        assert each.old != each.new, each.name
    assert len({each.name for each in BREAKS}) == len(BREAKS) == 40


@any_backend
def test_every_test_is_there_and_runs_in_its_tier():
    for each in BREAKS:
        for test in each.tests:
            file, *parts = test.partition("[")[0].split("::")
            text = (breaks.ROOT / "tests" / file).read_text("utf-8")
            assert all(part in text for part in parts), test
            assert test.startswith(PLACES["full"]) == (each.tier == "rest"), test
    assert sum(each.tier == "test" for each in BREAKS) >= breaks.LEAST


@full
@one_backend
def test_a_change_that_breaks_nothing_is_not_caught(monkeypatch, capsys):
    [each] = breaks.chosen_by(["a missing file is a traceback"])
    passes = ("test_imports.py::test_imports_go_one_way",)
    harmless = replace(each, new=each.old, tests=passes)
    monkeypatch.setattr(breaks, "BREAKS", [harmless])
    monkeypatch.setattr("sys.argv", ["breaks"])
    # The command changes the environment of its process.
    with mock.patch.dict(os.environ), pytest.raises(SystemExit) as end:
        breaks.main()
    assert end.value.code == 1
    assert "0 of 1 breaks were caught" in capsys.readouterr().out
