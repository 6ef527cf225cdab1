"""Times and memory of a call, after it has been warmed up."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[[], Any]

# A sample shorter than this is made of several calls.
_SHORTEST_SAMPLE = 5e-3


def median_ms(run: Run, wait: Callable[[Any], None], repeats: int) -> float:
    """Median time of one call in milliseconds."""
    wait(run())
    calls = _calls_per_sample(run, wait)
    return statistics.median(sample_ms(run, wait, calls) for _ in range(repeats))


def sample_ms(run: Run, wait: Callable[[Any], None], calls: int = 1) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        result = run()
    wait(result)
    return 1e3 * (time.perf_counter() - start) / calls


def _calls_per_sample(run: Run, wait: Callable[[Any], None]) -> int:
    return max(1, min(200, int(1e3 * _SHORTEST_SAMPLE / sample_ms(run, wait)) + 1))


def peak_host_mib(run: Run, wait: Callable[[Any], None]) -> float:
    """Memory that a warm call adds to the process at its highest point, in MiB."""
    gc.collect()
    _give_back_freed_memory()
    before = _resident_mib()
    marks = Path("/proc/self/clear_refs")
    if marks.exists():
        marks.write_text("5")  # the highest point starts anew from here
    wait(run())
    return max(0.0, _highest_mib() - before)


def _give_back_freed_memory() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _resident_mib() -> float:
    return _status("VmRSS") or most_ever_mib()


def _highest_mib() -> float:
    return _status("VmHWM") or most_ever_mib()


def _status(field: str) -> float | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = (line.split() for line in status.read_text().splitlines())
    return next(int(words[1]) / 1024 for words in lines if words[0] == f"{field}:")


def most_ever_mib() -> float:
    """The highest point of the process since it began, in MiB."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
