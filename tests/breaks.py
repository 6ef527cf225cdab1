"""Breaks the package on purpose, one place at a time; a test must detect each break.

    python -m tests.breaks                        all of `tests/break_table.py`
    python -m tests.breaks --only calibration 7   breaks selected by name or number

The tracked files are copied to a temporary folder and broken there, one place at a
time. The tests that a break names run with the settings of their tier. They first run
on the intact copy, since a test that always fails proves nothing. The run fails if a
break was not detected, or if `make test` would have detected fewer than 35 breaks.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.break_table import BREAKS, PACKAGE, Break
from tests.tiers import MARKS

ROOT = Path(__file__).parents[1]
LEAST = 35
SECONDS = 3600

# Importing these takes longer than most tests, so it is done once per backend.
PRELOADED = "torch"
LIBRARIES = (
    *("pytest", "keras", "tensorflow", "pandas", "sklearn.linear_model"),
    "huggingface_hub",
)
IMPORTED_BEFORE = "ignore::pytest.PytestAssertRewriteWarning"
FORKS = multiprocessing.get_context("forkserver")


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """Yields the folder `copy` in a temporary folder, with all tracked files."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    with tempfile.TemporaryDirectory(prefix="breaks_") as place:
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                target = Path(place, "copy", name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)
        Path(place, "tmp").mkdir()
        yield Path(place)


@contextlib.contextmanager
def broken(copy: Path, each: Break) -> Iterator[None]:
    """Introduces one break in the copy during the block."""
    path = copy / PACKAGE / each.file
    whole = path.read_text("utf-8")
    if whole.count(each.old) != 1:
        raise ValueError(f"{each.name}: its text must occur once in {each.file}.")
    path.write_text(whole.replace(each.old, each.new), "utf-8")
    try:
        yield
    finally:
        path.write_text(whole, "utf-8")


def run_tests(
    place: Path, tests: Sequence[str], tier: str, backend: str, **environment: str
) -> tuple[int | None, str]:
    """Runs pytest on the copy; its status, and its line about the first failure.

    A run that takes more than an hour is killed and has a negative status.
    """
    output = place / "output"
    environment = {
        "KERAS_BACKEND": backend,
        "KERAS_INVOLUTION_TEST_BACKENDS": backend,
        "PYTHONPATH": str(place / "copy"),
        **environment,
    }
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", MARKS[tier]]
    options += ["--basetemp", str(place / "pytest"), "-W", IMPORTED_BEFORE]
    options += [f"tests/{test}" for test in tests]
    process = FORKS.Process(
        target=_pytest, args=(place / "copy", output, options, environment)
    )
    process.start()
    try:
        process.join(SECONDS)
    finally:
        if process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid or 0, signal.SIGKILL)
            process.join()
    lines = output.read_text("utf-8", "replace").splitlines() or [""]
    failures = (line for line in lines if line.startswith(("FAILED", "ERROR")))
    return process.exitcode, next(failures, lines[-1])


def _pytest(
    copy: Path, output: Path, options: list[str], environment: dict[str, str]
) -> None:
    """Runs pytest in a process that has imported neither the package nor its tests."""
    os.setsid()
    os.chdir(copy)
    with output.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(environment)
    if environment["KERAS_BACKEND"] != PRELOADED:
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *options])
    sys.path.insert(0, str(copy))
    for name in [n for n in sys.modules if n.partition(".")[0] in ("tests", PACKAGE)]:
        del sys.modules[name]
    sys.exit(pytest.main(options))


def prepare(place: Path) -> None:
    """Sets the environment of all processes of the run."""
    os.environ.update(
        KERAS_BACKEND=PRELOADED,
        # Set before any library is imported, as in `tests/conftest.py`.
        OMP_NUM_THREADS="1",
        TF_CPP_MIN_LOG_LEVEL="3",
        # A file that is changed and restored within a second looks unchanged.
        PYTHONDONTWRITEBYTECODE="1",
        TMPDIR=str(place / "tmp"),
    )
    FORKS.set_forkserver_preload(list(LIBRARIES))


def check_whole(place: Path, chosen: Sequence[Break]) -> None:
    """Runs all tests of the breaks on the intact copy, where they must pass."""
    for tier, backend in sorted({(each.tier, each.backend) for each in chosen}):
        same = [each for each in chosen if (each.tier, each.backend) == (tier, backend)]
        tests = sorted({test for each in same for test in each.tests})
        begin = time.monotonic()
        code, line = run_tests(place, tests, tier, backend)
        took = time.monotonic() - begin
        print(f"without a break, {tier} on {backend}: {line} [{took:.0f} s]")
        if code != 0:
            sys.exit("Tests fail that must pass without a break.")


def is_caught(place: Path, each: Break) -> bool:
    """Whether a test detects a break; prints the test."""
    begin = time.monotonic()
    changed = {}
    if each.file.startswith("ops/_cpp/"):
        # Kernels are named by a hash of their sources. Broken ones are deleted.
        changed = {"XDG_CACHE_HOME": str(place / "cache")}
    with broken(place / "copy", each):
        code, line = run_tests(place, each.tests, each.tier, each.backend, **changed)
    # A status other than 1 means that no test finished.
    word = "caught" if code == 1 else "NOT CAUGHT"
    took = time.monotonic() - begin
    print(f"{word}, {each.tier} on {each.backend}: {each.name} [{took:.0f} s]")
    print(f"    {line[:150]}", flush=True)
    return code == 1


def chosen_by(words: Sequence[str]) -> list[Break]:
    """The breaks selected by the words: numbers, or parts of names."""
    return [
        each
        for number, each in enumerate(BREAKS, 1)
        if not words
        or str(number) in words
        or any(word in each.name for word in words if not word.isdecimal())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Breaks the package on purpose.")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME_OR_NUMBER")
    given = parser.parse_args()
    chosen = chosen_by(given.only)
    with copied() as place:
        prepare(place)
        check_whole(place, chosen)
        caught = [each for each in chosen if is_caught(place, each)]
    counts = [sum(each.tier == tier for each in caught) for tier in ("test", "rest")]
    print(
        f"\n{len(caught)} of {len(chosen)} breaks were caught, {counts[0]} by "
        f"`make test`, {counts[1]} by `make test-rest`"
    )
    too_few = not given.only and counts[0] < LEAST
    sys.exit(1 if too_few or caught != chosen else 0)


if __name__ == "__main__":
    main()
