"""Settings of the whole suite: one backend per process, no telemetry, no downloads."""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
import threading
import zlib
from collections import Counter
from pathlib import Path

# The libraries read these on import, so they are set before any import.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# The backends are tested in parallel: threads that spin while they wait, as in OpenMP,
# slow down the other processes. tests/ops uses two threads where they matter.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# TensorFlow supports channels-first convolutions only with oneDNN, which it enables by
# default only on processors with AVX-512.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Compilation takes most of the time. LLVM's optimizations are not tested here;
# `XLA_FLAGS= make test` enables them.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# Tests and their processes share JAX's cache of compiled programs.
os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="kept_programs_")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"

import keras
import pytest

from tests.marks import PLACES

TESTS = Path(__file__).parent
# Not inherited by the test processes that tests start.
PART = os.environ.pop("KERAS_INVOLUTION_TEST_PART", "0/1")
BACKEND = keras.config.backend()
FILES: pytest.StashKey[dict[str, str]] = pytest.StashKey()
THREADS: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_addoption(parser):
    parser.addoption("--report", help="Write the outcomes to this file.")


def pytest_ignore_collect(collection_path, config):
    """Does not import files that the tier leaves out completely."""
    if not collection_path.is_relative_to(TESTS):
        return None
    place = collection_path.relative_to(TESTS).as_posix()
    tiers = [t for t in ("full", "slow") if f"not {t}" in config.option.markexpr]
    # `None` leaves the decision to the other plugins.
    return any(place.startswith(PLACES[tier]) for tier in tiers) or None


def pytest_itemcollected(item):
    """Adds the marks of the tables in `tests/marks.py`."""
    if item.path.is_relative_to(TESTS):
        place = item.path.relative_to(TESTS).as_posix()
        place += item.nodeid[item.nodeid.index("::") :]
        for mark, places in PLACES.items():
            if place.startswith(places):
                item.add_marker(mark)
    if item.get_closest_marker("torch_first") and BACKEND != "torch":
        item.add_marker("full")


def pytest_collection_modifyitems(config, items):
    """Leaves out tests that do not depend on the backend and run on another one."""
    left_out = [item for item in items if backend_of(item) != BACKEND]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if backend_of(item) == BACKEND]
    part, count = map(int, PART.split("/"))
    if count > 1:
        items[:] = part_of(items, part, count)


def part_of(items: list[pytest.Item], part: int, count: int) -> list[pytest.Item]:
    """The tests of one part. Files are distributed so that parts are equally large."""
    sizes = Counter(item.path for item in items)
    parts: list[set[Path]] = [set() for _ in range(count)]
    for path in sorted(sizes, key=lambda path: (-sizes[path], path)):
        smallest = min(parts, key=lambda paths: sum(sizes[path] for path in paths))
        smallest.add(path)
    return [item for item in items if item.path in parts[part]]


def backend_of(item: pytest.Item) -> str:
    """The backend whose process runs a test."""
    if item.get_closest_marker("any_backend"):
        shared = os.environ.get("KERAS_INVOLUTION_TEST_BACKENDS", "torch").split()
        # Grouped by file, so that fixtures are created once.
        return shared[zlib.crc32(item.path.name.encode()) % len(shared)]
    if item.get_closest_marker("one_backend"):
        return "torch"
    return BACKEND


def pytest_configure(config):
    config.stash[FILES], config.stash[THREADS] = {}, []


def pytest_terminal_summary(terminalreporter, config):
    path = config.getoption("--report")
    if path:
        kinds = ("passed", "failed", "error", "skipped")
        found = {kind: terminalreporter.getreports(kind) for kind in kinds}
        report = {
            "counts": {kind: len(reports) for kind, reports in found.items()},
            "failed": [r.nodeid for kind in ("failed", "error") for r in found[kind]],
            "files": config.stash[FILES],
            "threads": config.stash[THREADS],
            "seconds": seconds_of_tests(terminalreporter),
        }
        with open(path, "w", encoding="utf-8") as file:
            json.dump(report, file)


def seconds_of_tests(terminalreporter) -> dict[str, float]:
    """Seconds of each test, including its fixtures."""
    seconds: dict[str, float] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds.setdefault(report.nodeid, 0.0)
                seconds[report.nodeid] += report.duration
    return seconds


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Records the test after which a file of the temporary folder first appears."""
    yield
    if item.config.getoption("--report"):
        for name in os.listdir(tempfile.gettempdir()):
            item.config.stash[FILES].setdefault(name, item.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    """Reports threads that keep the process from ending."""
    main = threading.main_thread()
    left = [t.name for t in threading.enumerate() if t is not main and not t.daemon]
    session.config.stash[THREADS] = left
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True, scope="session")
def kept_programs():
    yield
    shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"])


@pytest.fixture(autouse=True)
def fresh_session():
    """Resets layer names and the seed before every test."""
    # No garbage collection here: after every test it would take minutes in total.
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="module")
def nothing_left_over():
    """Frees the networks of a test file before the next file."""
    yield
    gc.collect()


@pytest.fixture(params=("channels_last", "channels_first"))
def data_format(request) -> str:
    return request.param
