"""Libraries of C++: those that the wheel brings, or compiled here once and kept.

`cache.py` keeps them, under a name made of the sources, the version of the package, the
compiler, its options and the processor's instructions, so that several computers and
versions may share a folder.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from keras_involution._version import __version__
from keras_involution.ops._cpp import cache, prebuilt

_FOLDER = Path(__file__).parent

# The first of these that the compiler knows: without OpenMP there is one thread.
_OPTIONS = (("-march=native", "-fopenmp"), ("-march=native",), ("-fopenmp",), ())
_ALWAYS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-pthread")

Loaded = TypeVar("Loaded")


def loaded(
    load: Callable[[Path], Loaded | str], source: Path, options: tuple[str, ...] = ()
) -> Loaded | str:
    """What `load` makes of the library, or the reason why there is none.

    One that the wheel brings and that cannot be loaded gives way to one compiled here.

    Args:
        load: Function of the library's file; returns a reason where it fails.
        source: A C++ file.
        options: What the compiler is told besides: macros, folders, libraries.
    """
    path = prebuilt.library(source)
    refusal = None if path is None else load(path)
    if refusal is not None and not isinstance(refusal, str):
        return refusal
    compilation = compiled(source, options)
    if isinstance(compilation, str):
        return f"{refusal} {compilation}" if refusal else compilation
    return load(compilation)


def compiled(
    source: Path,
    options: tuple[str, ...] = (),
) -> Path | str:
    """The file of a library compiled here, or the reason why there can be none."""
    toolchain = _toolchain()
    if isinstance(toolchain, str):
        return toolchain
    command, identity = toolchain
    headers = {*_FOLDER.glob("*.h"), *source.parent.glob("*.h")}
    texts = [file.read_text() for file in (source, *sorted(headers))]
    parts = [__version__, identity, *command, *_ALWAYS, *options, *texts]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    command += (*_ALWAYS, f"-I{_FOLDER}", str(source), *options)
    make = functools.partial(_compile, command)
    return cache.library_file(f"{source.stem}-{key}.so", make)


@functools.cache
def _toolchain() -> tuple[tuple[str, ...], str] | str:
    """(compiler with its options, what identifies it), or why there is none.

    The compiler is identified by its version and by the macros that it defines, which
    tell the instructions of the processor.
    """
    if os.name != "posix":
        return "It is compiled with GCC or Clang, which this system does not use."
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    compiler = next(filter(None, (shutil.which(name) for name in names if name)), None)
    if compiler is None:
        return "There is no C++ compiler (c++, g++, clang++ or the variable CXX)."
    for options in _OPTIONS:
        macros = (compiler, *options, "-dM", "-E", "-x", "c++", os.devnull)
        answer = _run(macros)
        if answer.returncode == 0:
            version = _run((compiler, "--version")).stdout
            return (
                compiler,
                *options,
            ), f"{platform.machine()}\n{version}\n{answer.stdout}"
    return f"The C++ compiler {compiler} does not run: {_first_line(answer.stderr)}."


def _compile(command: tuple[str, ...], path: Path) -> None:
    answer = _run((*command, "-o", str(path)))
    if answer.returncode != 0:
        raise cache.CompilerError(
            f"The C++ compiler failed: {_first_line(answer.stderr)}."
        )


def _run(command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if "error" in line), "no message")
