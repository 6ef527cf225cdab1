"""Runs a tier of the suite, with every backend in a separate parallel process.

    python -m tests.tiers quick    one backend: no `slow`, no `full`
    python -m tests.tiers test     what must never break: no `full`
    python -m tests.tiers rest     tests that are not in `test`
    python -m tests.tiers all      everything

Every line of output starts with the name of its process. At the end, the counts of each
backend are printed. The run fails if a test failed, if a backend ran no test, or if a
test left behind a process or a file in the temporary folder. With `--again`, failed
tests run again separately. Only tests that fail twice count; the others are reported as
unsteady. With `--coverage`, the branch coverage of the package in these processes is
printed, and the run fails below `fail_under` in `pyproject.toml`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

MARKS = {
    "quick": "not full and not slow",
    "test": "not full",
    "rest": "full",
    "all": "",
}
BACKENDS = ("tensorflow", "jax", "torch")
# Repeated in the full tier with the XLA optimizations that users have.
OPTIMIZED = (
    "tests/ops/test_implementations.py",
    "tests/models/test_published_values.py",
)
# Tests for one backend run on torch, which has the most tests and gets two processes.
PARTS = {"tensorflow": 1, "jax": 1, "torch": 2}
SLOWEST = 20
RUN_ID = "KERAS_INVOLUTION_TEST_RUN"
PART = "KERAS_INVOLUTION_TEST_PART"


class Run:
    """One pytest process.

    Args:
        name: String, the prefix of its output lines.
        backend: String, the backend of Keras.
        marks: String, the expression of pytest's `-m`.
        tests: List of strings, paths and further options of pytest.
        environment: Dictionary of further environment variables. With `COVERAGE_FILE`,
            the coverage is measured and written to this file.
    """

    def __init__(
        self,
        name: str,
        backend: str,
        marks: str,
        tests: list[str],
        environment: dict[str, str],
    ) -> None:
        self.name = name
        self.settings = (backend, environment)
        self.failed: list[str] = []
        self.seconds: dict[str, float] = {}
        self.id = uuid.uuid4().hex
        self.temp = Path(tempfile.mkdtemp(prefix=f"tests_of_{name}_"))
        self.report = self.temp / "report.json"
        command = [sys.executable, "-m", "pytest", "-m", marks, *tests]
        command += ["--basetemp", str(self.temp / "pytest"), "--report", self.report]
        if "COVERAGE_FILE" in environment:
            command += ["--cov", "--cov-report=", "--cov-fail-under=0"]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={
                **os.environ,
                PART: "0/1",
                **environment,
                "KERAS_BACKEND": backend,
                "PYTHONUNBUFFERED": "1",
                "TMPDIR": str(self.temp),
                # torch creates this folder when it is imported.
                "TORCHINDUCTOR_CACHE_DIR": str(self.temp / "pytest_inductor"),
                RUN_ID: self.id,
            },
        )
        self.printer = threading.Thread(target=self._print)
        self.printer.start()

    def _print(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            print(f"{self.name}: {line}", end="", flush=True)

    def again(self, tests: list[str]) -> Run:
        """Starts the same process again for some of its tests."""
        backend, environment = self.settings
        alone = {**environment, PART: "0/1"}
        alone.pop("COVERAGE_FILE", None)
        return Run(f"{self.name}-again", backend, "", tests, alone)

    def finish(self) -> tuple[str, list[str]]:
        """Waits for the process; its line of counts and its problems."""
        code = self.process.wait()
        problems = []
        for text in lingering(self.id):
            problems.append(f"left the process {text}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(text.split()[0]), signal.SIGKILL)
        self.printer.join(timeout=10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        report = {"counts": {}, "failed": [], "files": {}, "threads": [], "seconds": {}}
        if self.report.exists():
            report = json.loads(self.report.read_text())
        self.failed, self.seconds = report["failed"], report["seconds"]
        if report["threads"]:
            problems.append(f"threads left: {', '.join(report['threads'])}")
        explained = code == 1 and (self.failed or report["threads"])
        if code not in (0, 5) and not explained:
            problems.append(f"pytest ended with {code}")
        if not report["counts"].get("passed") and not self.failed:
            problems.append("no test ran")
        kept = ("pytest", "pytest_inductor", self.report.name)
        left = [path.name for path in self.temp.iterdir() if path.name not in kept]
        for name in sorted(left):
            test = report["files"].get(name, "the last test")
            if test in self.failed:  # Part of its failure, which counts by itself.
                continue
            problems.append(f"left {name} in the temporary folder, after {test}")
        shutil.rmtree(self.temp, ignore_errors=True)
        words = ", ".join(f"{count} {kind}" for kind, count in report["counts"].items())
        return f"{self.name}: {words or 'nothing'}", problems


def processes_of(run_id: str) -> list[str]:
    """The processes of a run that are still alive, on Linux."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            continue
        if f"{RUN_ID}={run_id}".encode() in environment.split(b"\0"):
            found.append(f"{folder.name} {words.decode(errors='replace').strip()}")
    return found


def lingering(run_id: str, seconds: float = 10.0) -> list[str]:
    """The processes of a run that are still alive after some seconds.

    Helpers of `multiprocessing` end shortly after their parent, when the pipe closes.
    """
    end = time.monotonic() + seconds
    while (found := processes_of(run_id)) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def run_side_by_side(
    tier: str, backends: list[str], tests: list[str], coverage: Path | None
) -> list[Run]:
    """Starts a separate process for every part of every backend, all in parallel."""
    shared = {"KERAS_INVOLUTION_TEST_BACKENDS": " ".join(backends)}
    runs = []
    for backend in backends:
        parts = 1 if tests else PARTS[backend]
        for part in range(parts):
            name = backend if parts == 1 else f"{backend}-{part + 1}"
            settings = {**shared, PART: f"{part}/{parts}"}
            if coverage:
                settings["COVERAGE_FILE"] = str(coverage / f".coverage.{name}")
            runs.append(Run(name, backend, MARKS[tier], tests, settings))
    return runs


def run_optimized(backends: list[str]) -> list[Run]:
    """Tests the operator and the published networks with XLA's optimizations."""
    shared = {"XLA_FLAGS": ""}
    compiled = [backend for backend in backends if backend != "torch"]
    return [Run(f"{b}-optimized", b, "", list(OPTIMIZED), shared) for b in compiled]


class Outcome:
    """The results of the runs of a tier."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.problems: list[str] = []
        self.seconds: list[tuple[float, str]] = []

    def add(self, runs: list[Run], again: bool) -> None:
        """Waits for the runs. With `again`, failed tests run once more, alone."""
        for run in runs:
            line, problems = run.finish()
            self.lines.append(line)
            self.problems += [f"{run.name}: {text}" for text in problems]
            self.seconds += [(s, f"{run.name}: {t}") for t, s in run.seconds.items()]
        for run in runs:
            failed = run.failed
            if failed and again:
                second = run.again(failed)
                _, problems = second.finish()
                self.problems += [f"{run.name}: {text}" for text in problems]
                for test in set(failed) - set(second.failed):
                    print(f"UNSTEADY {run.name}: {test} passed the second time")
                failed = second.failed
            self.problems += [f"{run.name}: {text}" for text in failed]


def coverage_report(folder: Path) -> tuple[str, list[str]]:
    """The branch coverage of all processes, and a problem if it is too low."""
    environment = {**os.environ, "COVERAGE_FILE": str(folder / ".coverage")}
    command = [sys.executable, "-m", "coverage"]
    subprocess.run([*command, "combine", "--quiet"], env=environment, check=True)
    report = subprocess.run(
        [*command, "report", "--format=total"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    line = f"branch coverage {report.stdout.split()[0]} %"
    return line, [f"{line} is too low"] if report.returncode else []


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs a tier of the test suite.")
    parser.add_argument("tier", choices=MARKS)
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument(
        "--again", action="store_true", help="Give failures a second run."
    )
    parser.add_argument(
        "--coverage", action="store_true", help="Measure the branch coverage."
    )
    parser.add_argument("--tests", nargs="*", default=[], help="Passed to pytest.")
    given = parser.parse_args()
    backends, outcome = list(given.backends), Outcome()
    with tempfile.TemporaryDirectory(prefix="coverage_") as name:
        folder = Path(name) if given.coverage else None
        runs = run_side_by_side(given.tier, backends, given.tests, folder)
        outcome.add(runs, given.again)
        if folder:
            line, problems = coverage_report(folder)
            outcome.lines.append(line)
            outcome.problems += problems
    if given.tier in ("rest", "all") and not given.tests:
        outcome.add(run_optimized(backends), given.again)
    print(f"\nThe slowest {SLOWEST} of all:")
    for seconds, test in sorted(outcome.seconds, reverse=True)[:SLOWEST]:
        print(f"{seconds:7.1f} s  {test}")
    print("\n" + " | ".join(outcome.lines))
    for problem in outcome.problems:
        print(f"FAILED {problem}")
    sys.exit(1 if outcome.problems else 0)


if __name__ == "__main__":
    main()
