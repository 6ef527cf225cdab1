"""The runner of the tiers rejects leftovers and a backend without tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.marks import PLACES, full, one_backend
from tests.tiers import Run

pytestmark = [full, one_backend]

GOOD = """
import os


def test_it(tmp_path):
    (tmp_path / "file").touch()


def test_processes_of_tests_are_no_parts():
    assert "KERAS_INVOLUTION_TEST_PART" not in os.environ
"""
BAD = """
import subprocess, tempfile, threading, time


def test_a_failure():
    tempfile.mkstemp(prefix="of_a_failure_")
    assert False


def test_a_file():
    tempfile.mkstemp(prefix="kept_")


def test_a_process():
    closed = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen(["sleep", "60"], **closed)


def test_a_thread():
    threading.Thread(target=time.sleep, args=(5,)).start()
"""
CASES = {
    "nothing": (GOOD, "2 passed, 0 failed", []),
    "everything": (
        BAD,
        "3 passed, 1 failed",
        [
            "threads left",
            "left kept_",
            "left the process",
            "test_it.py::test_a_failure",
        ],
    ),
    "no test": ("", "0 passed", ["no test ran"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_reports_what_is_left(case, tmp_path):
    source, counts, expected = CASES[case]
    # The settings of the suite, without its files.
    (tmp_path / "test_it.py").write_text(source)
    run = Run("torch", "torch", "", [str(tmp_path), "-p", "tests.conftest"], {})
    line, problems = run.finish()
    problems += run.failed
    assert counts in line
    assert not any("of_a_failure_" in problem for problem in problems), problems
    for text in expected:
        assert any(text in problem for problem in problems), problems
    assert bool(problems) == bool(expected), problems


def test_every_marked_place_exists():
    here = Path(__file__).parent
    files = [path.relative_to(here).as_posix() for path in here.rglob("test_*.py")]
    for places in PLACES.values():
        for place in places:
            path, *parts = place.split("::")
            found = [name for name in files if name.startswith(path)]
            assert found, place
            for part in parts:  # names of tests, some with parameters
                assert part.split("[")[0] in (here / path).read_text("utf-8"), place
