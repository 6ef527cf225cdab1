"""The C++ implementation: when it is chosen, and how it fails."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_involution.ops import _reference, available_implementations, involution
from keras_involution.ops._cpp import compiler, loading
from keras_involution.ops._implementation import select
from keras_involution.ops.involution import IMPLEMENTATIONS
from tests.marks import one_backend
from tests.ops.cases import Case
from tests.ops.test_implementations import assert_definition

BACKEND = keras.config.backend()
pytestmark = pytest.mark.skipif(
    "cpp" not in available_implementations(), reason=f"Not written for {BACKEND}."
)
CASE = Case((6, 5), (3, 3))
# Inputs, kernels, outputs and both gradients; their values do not matter here.
STEPS = ((4,) * 4, (6,) * 6, (4,) * 4, (4,) * 4, (6,) * 6)


def tensors(case: Case = CASE):
    x, k, _, geometry = case.tensors()
    return *(keras.ops.convert_to_tensor(a, "float32") for a in (x, k)), geometry


@pytest.fixture
def forget():
    """Clears the caches of compiled libraries and reasons, before and after."""
    loading.kernels.cache_clear()
    yield
    loading.kernels.cache_clear()


def test_chosen_on_a_cpu():
    if loading.reason() is not None:
        pytest.skip(loading.reason())
    assert select(IMPLEMENTATIONS, None, *tensors()).name == "cpp"


def test_without_a_compiler_another_is_chosen(monkeypatch, forget):
    monkeypatch.setattr(compiler, "_toolchain", lambda: "No compiler, says the test.")
    x, k, geometry = tensors()
    assert select(IMPLEMENTATIONS, None, x, k, geometry).name in ("native", "triton")
    with pytest.raises(ValueError, match=r"No compiler, says the test.*Received:"):
        involution(x, k, data_format="channels_last", implementation="cpp")


def test_compiler_errors_are_reasons(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = tmp_path / "wrong.cpp"
    source.write_text("this is no C++;")
    reason = compiler.compiled(source)
    if isinstance(compiler._toolchain(), tuple):
        assert "error" in reason
    assert [p.name for p in (tmp_path / "keras_involution").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "case",
    [
        Case((70,), (31,), dilation_rate=2, channels=6),
        Case((5, 50), (3, 9), dilation_rate=(1, 4), groups=1, channels=20),
        Case((40, 40), (7, 7), groups=1, channels=40, batch=1),
        Case((41, 40), (7, 7), groups=1, channels=40, batch=1, strides=2),
    ],
    ids=[
        *("longer than what is written out", "the same in 2D"),
        *("several bands", "several bands with strides"),
    ],
)
def test_beyond_what_fits_registers_and_cache(case):
    assert_definition(case, "float32", "cpp")


def test_one_library_serves_every_window():
    libraries = {loading.kernels().path}
    for case in (CASE, Case((9,), (5,), groups=1), Case((6, 6), (7, 7), channels=32)):
        assert_definition(case, "float32", "cpp")
        libraries.add(loading.kernels().path)
    assert len(libraries) == 1


@one_backend
class TestContract:
    """The argument block of the library has the layout that Python fills."""

    @pytest.fixture
    def sources(self, tmp_path, monkeypatch):
        """A copy of the sources without the parts that compile slowly."""
        folder = Path(shutil.copytree(loading.SOURCE.parent, tmp_path / "_cpp"))
        text = (
            '#include "contract.h"\nextern "C" {\n'
            "const char* involution_contract() { return contract::description(); }\n"
            "int involution() { return 0; }\nint involution_gradients() { return 0; }\n"
            "int involution_fused() { return 0; }\n"
            "int involution_fused_gradients() { return 0; }\n"
            "int involution_normalized() { return 0; }\n"
            "int involution_normalized_gradients() { return 0; }\n"
            "}\n"
        )
        (folder / "involution.cpp").write_text(text)
        monkeypatch.setattr(compiler, "_FOLDER", folder)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        return folder

    @staticmethod
    def load(sources):
        return loading.loaded(compiler.compiled(sources / "involution.cpp"))

    def test_the_places_are_those_of_the_header(self, sources):
        library = self.load(sources)
        block = library.problem(CASE.geometry(), True, (2, 6, 5, 8), STEPS, 3)
        by_name = {
            name: block[place : place + loading._LENGTHS[name]]
            for name, place in library.places.items()
        }
        assert by_name["threads"] == [3] and by_name["double_precision"] == [1]
        assert by_name["input_sizes"] == [1, 6, 5]
        assert by_name["kernel_size"] == [1, 3, 3]
        assert sum(map(len, by_name.values())) == len(block)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("version = 4", "version = 5"),
            ("FIELD(Number, threads)", ""),
            ("FIELD(Number, threads)", "FIELD(Number, workers)"),
            ("FIELD(Number, threads)", "FIELD(Three, threads)"),
            ("FIELD(Number, threads)", "FIELD(Number, threads) FIELD(Number, more)"),
        ],
    )
    def test_a_library_of_another_version_is_refused_when_loaded(
        self, sources, old, new
    ):
        header = sources / "contract.h"
        text = header.read_text()
        assert text.count(old) == 1
        header.write_text(text.replace(old, new))
        with pytest.raises(RuntimeError, match=r"different call arguments.*Received:"):
            self.load(sources)

    def test_fields_in_another_order_are_found(self, sources):
        header = sources / "contract.h"
        text = header.read_text()
        both = ["FIELD(Number, double_precision)", "FIELD(Number, threads)"]
        swapped = text.replace(" ".join(both), " ".join(reversed(both)))
        assert swapped != text
        header.write_text(swapped)
        assert self.load(sources).places["threads"] == 0


def test_no_number_of_threads_means_openmp_settings():
    """The argument block of XLA programs has zero threads; any caller may pass zero."""
    x, k, _, geometry = CASE.tensors("float32")
    library = loading.kernels()
    expected = _reference.involution(x, k, geometry)
    for threads in (0, 1, 2, 7):
        y = np.full(CASE.output_shape(), np.nan, "float32")
        xs, ks, ys = ([n // 4 for n in array.strides] for array in (x, k, y))
        block = library.problem(geometry, False, x.shape, (xs, ks, ys, xs, ks), threads)
        block = (ctypes.c_int64 * len(block))(*block)
        addresses = [array.ctypes.data for array in (x, k, y)]
        assert library.involution(block, *addresses) == 0
        np.testing.assert_allclose(y, expected, atol=1e-5)


def call_at_once() -> None:
    """Computes gradients in four Python threads, which the kernel must not mix."""
    cases = [Case((30 + n, 31), (7, 7), channels=32) for n in range(4)]

    def run(index: int) -> None:
        assert_definition(cases[index % 4], "float32", "cpp")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run, range(16)))


def test_many_threads_call_it_at_once():
    # A new process, since OpenMP reads its number of threads once per process.
    program = "from tests.ops.test_cpp import call_at_once; call_at_once()"
    environment = {**os.environ, "OMP_NUM_THREADS": "3"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_no_images_and_no_positions():
    for sizes, batch in (((6, 5), 0), ((0, 5), 2)):
        x, k, _ = tensors(Case(sizes, (3, 3), batch=batch))
        y = involution(x, k, data_format="channels_last")
        assert tuple(y.shape) == tuple(x.shape)


@pytest.mark.skipif(BACKEND != "jax", reason="It is about programs of XLA.")
class TestJax:
    def test_exported_programs_run_elsewhere(self):
        """With a dynamic batch size, the program has no call of this package."""
        import jax
        from jax import export

        batch = export.symbolic_shape("b")[0]
        x, k, _ = tensors()

        def run(x, k):
            return involution(x, k, data_format="channels_last")

        shapes = [
            jax.ShapeDtypeStruct((batch, *a.shape[1:]), "float32") for a in (x, k)
        ]
        exported = export.export(jax.jit(run))(*shapes)
        text = exported.mlir_module()
        assert "keras_involution_involution" not in text
        np.testing.assert_allclose(exported.call(x, k), run(x, k), atol=1e-5)

    def test_a_program_outlives_its_process(self, tmp_path):
        """JAX's compilation cache passes the same program to the next process."""
        program = (
            "import jax; from tests.ops.test_cpp import *\n"
            "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)\n"
            "x, k, _ = tensors()\n"
            "call = jax.jit(lambda x, k: involution(x, k, data_format='channels_last'))"
            "\nprint(float(call(x, k).sum()))"
        )
        results = [
            subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path)},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for _ in range(2)
        ]
        assert results[0] == results[1] != ""
        assert any(tmp_path.iterdir())
