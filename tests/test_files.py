"""Files are written completely or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from keras_involution._files import replaced_file
from tests.marks import one_backend

pytestmark = one_backend


def test_a_complete_file_takes_the_place(tmp_path):
    path = tmp_path / "deep" / "a.csv"
    with replaced_file(path) as draft:
        draft.write_text("new")
        assert not path.exists() and draft.suffix == ".csv"
    assert path.read_text() == "new"
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    with replaced_file(path, force=True) as draft:
        draft.write_text("newer")
        assert path.read_text() == "new"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_one_does_not(tmp_path, error):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(error), replaced_file(path, force=True) as draft:
        draft.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_overwritten_unasked(tmp_path):
    (tmp_path / "a.csv").write_text("old")
    for path in (tmp_path / "a.csv", tmp_path):
        with pytest.raises(ValueError, match="Received: path="), replaced_file(path):
            raise AssertionError("the block must not run")


def test_drafts_of_killed_processes_go_after_a_day(tmp_path):
    name = ".a.csv.keras_involution_draft.{}.csv"
    old, fresh = tmp_path / name.format("1"), tmp_path / name.format("2")
    for draft in (old, fresh):
        draft.write_text("half")
    os.utime(old, (0, 0))
    with replaced_file(tmp_path / "a.csv") as draft:
        draft.write_text("new")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([fresh.name, "a.csv"])
