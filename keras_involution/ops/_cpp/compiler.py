"""Compiles C++ for the processor it runs on, once, and keeps the libraries.

They lie in the user's cache folder (`XDG_CACHE_HOME`, else `~/.cache`) under a name
made of the source, the options, the compiler and the processor's instructions, so a
folder shared by several computers is safe.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_name("involution.cpp")

# The first of these that the compiler knows: without OpenMP there is one thread.
_OPTIONS = (("-march=native", "-fopenmp"), ("-march=native",), ("-fopenmp",), ())
_ALWAYS = ("-std=c++17", "-O2", "-fPIC", "-shared")


@functools.cache
def reason() -> str | None:
    """Why nothing can be compiled here, as RedNet's own window shows."""
    macros = {"REAL": "float", "GROUP_CHANNELS": "16", "KERNEL_SIZE": "1,7,7"}
    macros |= {"STRIDES": "1,1,1", "DILATION_RATE": "1,1,1"}
    answer = library(SOURCE, macros)
    return answer if isinstance(answer, str) else None


def library(
    source: Path, macros: Mapping[str, str], folders: tuple[str, ...] = ()
) -> ctypes.CDLL | str:
    """The source compiled with these macros, or the reason why that is impossible.

    Args:
        source: A C++ file.
        macros: Names and values.
        folders: Where the compiler looks for headers of others.
    """
    path = compiled(source, macros, tuple(f"-I{folder}" for folder in folders))
    if isinstance(path, str):
        return path
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        return f"The compiled library cannot be loaded: {error}."


def compiled(
    source: Path, macros: Mapping[str, str], options: tuple[str, ...] = ()
) -> Path | str:
    """The library's file, or the reason why there can be none.

    Args:
        source: A C++ file.
        macros: Names and values.
        options: What else the compiler is told: folders of headers, libraries.
    """
    toolchain = _toolchain()
    if isinstance(toolchain, str):
        return toolchain
    command, target = toolchain
    command += (*_ALWAYS, *(f"-D{name}={value}" for name, value in macros.items()))
    headers = {*SOURCE.parent.glob("*.h"), *source.parent.glob("*.h")}
    texts = [file.read_text() for file in (source, *sorted(headers))]
    key = hashlib.sha256("\n".join([*command, *options, target, *texts]).encode())
    path = _folder() / f"{source.stem}-{key.hexdigest()[:32]}.so"
    if not path.exists():
        own = f"-I{SOURCE.parent}"
        reason = _compile([*command, own, str(source), *options], path)
        if reason is not None:
            return reason
    return path


@functools.cache
def _toolchain() -> tuple[tuple[str, ...], str] | str:
    """(compiler with its options, what it compiles for), or why there is none."""
    if os.name != "posix":
        return "It is compiled with GCC or Clang, which this system does not use."
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    compiler = next(filter(None, (shutil.which(name) for name in names if name)), None)
    if compiler is None:
        return "There is no C++ compiler (c++, g++, clang++ or the variable CXX)."
    for options in _OPTIONS:
        macros = (compiler, *options, "-dM", "-E", "-x", "c++", os.devnull)
        answer = subprocess.run(macros, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            return (compiler, *options), answer.stdout
    return f"The C++ compiler {compiler} does not run: {_first_line(answer.stderr)}."


def _compile(command: list[str], path: Path) -> str | None:
    """Writes the library whole or not at all: several processes may do so at once."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    command = [*command, "-o", str(unfinished)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        unfinished.unlink(missing_ok=True)
        return f"The C++ compiler failed: {_first_line(answer.stderr)}."
    unfinished.replace(path)
    return None


@functools.cache
def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "keras_involution"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="keras_involution-"))


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if "error" in line), "no message")
