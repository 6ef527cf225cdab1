"""Files are written completely or not at all, and read with one kind of error."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from keras_involution._files import DiskFullError, atomic_write, reading
from tests.marks import one_backend

pytestmark = one_backend


def test_a_complete_file_takes_the_place(tmp_path):
    path = tmp_path / "deep" / "a.csv"
    with atomic_write(path) as draft:
        draft.write_text("new")
        assert not path.exists() and draft.suffix == ".csv"
    assert path.read_text() == "new"
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    with atomic_write(path, force=True) as draft:
        draft.write_text("newer")
        assert path.read_text() == "new"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_one_does_not(tmp_path, error):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path, force=True) as draft:
        draft.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_overwritten_unasked(tmp_path):
    (tmp_path / "a.csv").write_text("old")
    for path in (tmp_path / "a.csv", tmp_path):
        with pytest.raises(ValueError, match="Received: path="), atomic_write(path):
            raise AssertionError("the block must not run")


def test_drafts_of_killed_processes_go_after_a_day(tmp_path):
    name = ".a.csv.keras_involution_draft.{}.csv"
    old, fresh = tmp_path / name.format("1"), tmp_path / name.format("2")
    for draft in (old, fresh):
        draft.write_text("half")
    os.utime(old, (0, 0))
    with atomic_write(tmp_path / "a.csv") as draft:
        draft.write_text("new")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([fresh.name, "a.csv"])


class PanicException(BaseException):
    """Stands for the exception of a panic in Rust code."""


FAILURES = {
    "a message": (NotImplementedError("kind 7"), "kind 7"),
    "no message": (MemoryError(), "MemoryError"),
    "no such key": (KeyError("table"), "'table' is missing"),
    "no such file": (FileNotFoundError(2, "gone", "x"), "there is no such file"),
    "the system's words": (PermissionError(13, "Permission denied", "x"), "denied"),
    "a panic": (PanicException("index out of range"), "index out of range"),
    "too deep": (RecursionError("maximum depth."), "maximum depth"),
    "many lines": (RuntimeError("first\n  second"), "first second"),
    "a long text": (AssertionError("x" * 9999), "x" * 300 + "..."),
}


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_of_a_reader_is_its_documented_error(name):
    class Damaged(ValueError):
        pass

    error, reason = FAILURES[name]
    with pytest.raises(Damaged) as caught, reading("a.npz", "The table", Damaged):
        raise error
    text = str(caught.value)
    assert text.startswith("The table cannot be read: ") and reason in text
    assert text.endswith(". Received: path='a.npz'") and len(text) < 400


def test_received_values_of_an_inner_error_are_kept():
    message = r"read: too deep\. Received: depth=9\. Received: source='a'$"
    with pytest.raises(ValueError, match=message), reading("a", "It", name="source"):
        raise ValueError("too deep. Received: depth=9")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ImportError])
def test_what_is_no_failure_of_a_file_passes(error):
    with pytest.raises(error), reading("a", "It"):
        raise error


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space"), OSError("h5: No space left on device")],
)
def test_a_full_disk_names_the_file_and_its_bytes(tmp_path, error):
    path = tmp_path / "a.csv"
    message = r"a\.csv: the file needs at least 2,000 bytes, but only [\d,]+ bytes"
    with pytest.raises(DiskFullError, match=message), atomic_write(path) as draft:
        draft.write_bytes(bytes(2000))
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_fit_is_not_begun(tmp_path):
    with (
        pytest.raises(DiskFullError, match=r"1,000,000,000,000,000,000 bytes, "),
        atomic_write(tmp_path / "a.csv", size=10**18),
    ):
        raise AssertionError("the block must not run")
    assert list(tmp_path.iterdir()) == []
