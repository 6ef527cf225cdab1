"""C++ libraries: included in the wheel, or compiled once on this machine and cached.

`cache.py` stores them under a name that depends on the sources, the version of the
package, the compiler, its options and the processor's instructions, so that several
computers and versions can share a folder.
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

# The first one that the compiler supports is used; without OpenMP there is one thread.
_OPTIONS = (("-march=native", "-fopenmp"), ("-march=native",), ("-fopenmp",), ())
_ALWAYS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-pthread")

Loaded = TypeVar("Loaded")


def loaded(
    load: Callable[[Path], Loaded | str], source: Path, options: tuple[str, ...] = ()
) -> Loaded | str:
    """The result of `load` for the library, or the reason there is none.

    If the library in the wheel cannot be loaded, one is compiled on this machine.

    Args:
        load: Function that loads the library's file; returns a reason if it fails.
        source: C++ source file.
        options: Further compiler options: macros, folders, libraries.
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
    """The file of a library compiled on this machine, or the reason there is none."""
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
    """(compiler with its options, its identification), or the reason there is none.

    The compiler is identified by its version and by the macros that it defines, which
    include the processor's instruction sets.
    """
    if os.name != "posix":
        return "It needs GCC or Clang, which this system does not use."
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    compiler = next(filter(None, (shutil.which(name) for name in names if name)), None)
    if compiler is None:
        return "No C++ compiler was found (c++, g++, clang++ or the variable CXX)."
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
