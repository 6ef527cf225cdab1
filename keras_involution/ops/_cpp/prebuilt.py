"""The compiled libraries that a wheel for Linux on x86-64 contains.

The kernels are compiled for three levels of x86-64; the best one that the processor
supports is used. `hatch_build.py` compiles them and reads this file without installing
the package, so only the Python standard library is imported here.
"""

from __future__ import annotations

import functools
from pathlib import Path

_OPERATIONS = Path(__file__).parents[1]
FOLDER = Path(__file__).with_name("prebuilt")

_V3 = {"abm", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"}
_V4 = {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"}
# Best first, with Linux's names for the processor features that each level needs.
LEVELS = {"x86-64-v4": _V3 | _V4, "x86-64-v3": _V3, "x86-64": set()}
SOURCES = {
    _OPERATIONS / "_cpp" / "involution.cpp": tuple(LEVELS),
    _OPERATIONS / "jax" / "xla_calls.cpp": ("x86-64",),
    _OPERATIONS / "tensorflow" / "tensorflow_calls.cpp": ("x86-64",),
}


def library(source: Path) -> Path | None:
    """The library of this C++ file for this processor, or `None`."""
    for level in SOURCES.get(source, ()):
        path = FOLDER / name(source, level)
        if path.is_file() and LEVELS[level] <= _processor_flags():
            return path
    return None


def name(source: Path, level: str) -> str:
    return f"{source.stem}-{level}.so"


@functools.cache
def _processor_flags() -> frozenset[str]:
    """The features of the processor that Linux reports."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return frozenset(next(flags, "").split())
