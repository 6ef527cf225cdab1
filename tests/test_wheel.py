"""The wheel contains compiled kernels, or is a pure wheel without a compiler."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from keras_involution.ops._cpp import compiler, prebuilt
from tests.marks import one_backend

ROOT = Path(__file__).parents[1]
pytestmark = one_backend
needs_compiler = pytest.mark.skipif(
    isinstance(compiler._toolchain(), str)
    or (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="Kernels are compiled on Linux for x86-64 only, with a compiler.",
)
BUILD = """
import sys
from hatchling.build import build_wheel
print(build_wheel(sys.argv[1]))
"""
# Compares values and gradients of the C++ operator with the definition, per level.
PROGRAM = """
import functools, sys
import numpy as np
from keras import ops
import keras_involution
from keras_involution._measure.devices import running_device
from keras_involution.ops import _reference, involution
from keras_involution.ops._cpp import loading, prebuilt
from keras_involution.ops._geometry import geometry_of

rng = np.random.default_rng(0)
arrays = [rng.standard_normal(shape, "float32")
          for shape in ((2, 9, 8, 32), (2, 9, 8, 2, 7, 7), (2, 9, 8, 32))]
x, k, dy = arrays
geometry = geometry_of(x.shape, k.shape, 1, 1, "channels_last")
wanted = [_reference.involution(x, k, geometry)]
wanted += _reference.gradients(*arrays, geometry)
run = functools.partial(involution, data_format="channels_last", implementation="cpp")
results = running_device().training(run)(*map(ops.convert_to_tensor, arrays))
for result, expected in zip(results, wanted, strict=True):
    np.testing.assert_allclose(ops.convert_to_numpy(result), expected, atol=1e-4)
for level in sys.argv[1:]:
    path = prebuilt.FOLDER / prebuilt.name(loading.SOURCE, level)
    library, y = loading.loaded(path), np.empty_like(x)
    steps = [[n // 4 for n in a.strides] for a in (x, k, y, x, k)]
    block = np.array(library.problem(geometry, False, x.shape, steps, 2), "int64")
    assert library.involution(*(a.ctypes.data for a in (block, x, k, y))) == 0
    np.testing.assert_allclose(y, wanted[0], atol=1e-4)
print(loading.kernels().path)
print(keras_involution.__file__)
"""
# Prints how many threads a call adds. Only one module of the package is imported.
THREADS = """
import ctypes, os, sys, types
for name in ("keras_involution", "keras_involution.ops"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [os.path.join(sys.argv[1], *name.split("."))]
from pathlib import Path
import numpy as np
from keras_involution.ops._cpp import loading, prebuilt
from keras_involution.ops._geometry import geometry_of

for openmp in sys.argv[2:]:
    ctypes.CDLL(openmp, mode=ctypes.RTLD_GLOBAL).omp_set_num_threads(3)
library = loading.loaded(prebuilt.FOLDER / prebuilt.name(loading.SOURCE, "x86-64"))
x, k = np.ones((8, 8, 8, 16), "float32"), np.ones((8, 8, 8, 1, 3, 3), "float32")
y, geometry = np.empty_like(x), geometry_of(x.shape, k.shape, 1, 1, "channels_last")
steps = [[n // 4 for n in a.strides] for a in (x, k, y, x, k)]
block = np.array(library.problem(geometry, False, x.shape, steps), "int64")
before = len(os.listdir("/proc/self/task"))
assert library.involution(*(a.ctypes.data for a in (block, x, k, y))) == 0
assert y[0, 4, 4, 0] == 9
print(len(os.listdir("/proc/self/task")) - before)
"""


def wheel(folder: Path, **environment: str) -> Path:
    folder.mkdir(exist_ok=True)
    answer = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    return folder / answer.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with the installed wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    built = wheel(folder / "dist")
    parts = built.stem.split("-")
    assert parts[2:4] == ["py3", "none"]
    assert parts[4].startswith("manylinux_2_") and parts[4].endswith("_x86_64")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@needs_compiler
@pytest.mark.parametrize("backend", ("tensorflow", "jax", "torch"))
def test_it_computes_without_a_compiler(site, tmp_path, backend):
    (tmp_path / "empty").mkdir()
    settings = {
        "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]),
        "PATH": str(tmp_path / "empty"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path / "empty"),
        "KERAS_BACKEND": backend,
    }
    environment = {n: v for n, v in os.environ.items() if n != "CXX"}
    known = prebuilt._processor_flags()
    levels = [level for level, needed in prebuilt.LEVELS.items() if needed <= known]
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, *levels],
        cwd=tmp_path,
        env={**environment, **settings},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    library, package = answer.stdout.splitlines()[-2:]
    assert Path(package).is_relative_to(site)
    folder = site / prebuilt.FOLDER.relative_to(ROOT)
    assert library == str(folder / f"involution-{levels[0]}.so")
    assert not list(tmp_path.rglob("*.so"))


@needs_compiler
def test_its_threads_are_those_of_the_process(site):
    """Threads come from PyTorch's OpenMP if loaded, else from the wheel's own."""
    torch = importlib.util.find_spec("torch")
    openmp = next(Path(torch.origin).parent.glob("lib/libgomp*"), None)
    if openmp is None:
        pytest.skip("This PyTorch has no OpenMP of GCC beside it.")

    def new_threads(*openmp: str, number: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", THREADS, str(site), *openmp],
            env={**os.environ, "OMP_NUM_THREADS": number},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert new_threads(str(openmp), number="1") == "2"
    assert new_threads(number="1") == "0"
    assert new_threads(number="4") == "3"


def test_without_a_compiler_it_is_pure(tmp_path):
    built = wheel(tmp_path, PATH=str(tmp_path / "nothing"), CXX="")
    assert built.name.endswith("-py3-none-any.whl")
    names = zipfile.ZipFile(built).namelist()
    assert not [name for name in names if name.endswith(".so")]
    assert "keras_involution/ops/_cpp/involution.cpp" in names
