"""Compiles the C++ kernels into the wheel for Linux on x86-64.

Where that is impossible, and in editable installations, the wheel is a pure one, whose
kernels are compiled on first use.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CPP = "keras_involution/ops/_cpp"
# Of what a library needs, only the C library is left for the machine to have.
OPTIONS = (
    *("-std=c++17", "-O2", "-fPIC", "-shared", "-pthread", "-s"),
    *("-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL"),
)


class CustomBuildHook(BuildHookInterface):
    """Adds the libraries that `prebuilt.py` lists."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self._folder = tempfile.mkdtemp(prefix="kernels-")
        try:
            libraries = compiled(Path(self.root), Path(self._folder))
        except Impossible as reason:
            self.app.display_warning(f"The wheel has no compiled kernels: {reason}")
            return
        for library in libraries:
            place = f"{CPP}/prebuilt/{library.name}"
            build_data["force_include"][str(library)] = place
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"

    def finalize(self, *arguments: Any) -> None:
        shutil.rmtree(getattr(self, "_folder", ""), ignore_errors=True)


class Impossible(Exception):
    """Why there can be no library."""


def compiled(root: Path, folder: Path) -> list[Path]:
    """Compiles every library into the folder.

    Raises:
        Impossible: With the reason.
    """
    platform_tag()
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    compiler = next(filter(None, (shutil.which(name) for name in names if name)), None)
    if compiler is None:
        raise Impossible("there is no C++ compiler.")
    prebuilt = read_prebuilt(root)
    libraries = []
    for source, levels in prebuilt.SOURCES.items():
        for level in levels:
            library = folder / prebuilt.name(source, level)
            includes = (f"-I{root / CPP}", f"-march={level}")
            command = [compiler, *OPTIONS, *includes, str(source), "-o", str(library)]
            answer = subprocess.run(command, capture_output=True, text=True)
            if answer.returncode:
                raise Impossible(f"the compiler failed.\n{answer.stderr}")
            libraries.append(library)
    return libraries


def platform_tag() -> str:
    """That of the C library here: what is compiled with it needs none that is newer."""
    library, release = platform.libc_ver()
    if (sys.platform, platform.machine(), library) != ("linux", "x86_64", "glibc"):
        raise Impossible("they are compiled on Linux for x86-64 with glibc only.")
    return f"manylinux_{'_'.join(release.split('.')[:2])}_x86_64"


def read_prebuilt(root: Path) -> ModuleType:
    path = root / CPP / "prebuilt.py"
    spec = importlib.util.spec_from_file_location("prebuilt", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"It cannot be read. Received: path={path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
