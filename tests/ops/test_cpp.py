"""The C++ implementation: when it is chosen, and how it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from keras_involution.ops import available_implementations, involution
from keras_involution.ops._cpp import compiler
from keras_involution.ops._implementation import select
from keras_involution.ops.involution import IMPLEMENTATIONS
from tests.ops.cases import Case
from tests.ops.test_implementations import assert_definition

BACKEND = keras.config.backend()
pytestmark = pytest.mark.skipif(
    "cpp" not in available_implementations(), reason=f"Not written for {BACKEND}."
)
CASE = Case((6, 5), (3, 3))


def tensors(case: Case = CASE):
    x, k, _, geometry = case.tensors()
    return *(keras.ops.convert_to_tensor(a, "float32") for a in (x, k)), geometry


@pytest.fixture
def forget():
    """Whatever was compiled or refused before is not remembered, nor afterwards."""
    if BACKEND == "torch":
        from keras_involution.ops.torch.cpp_kernel import _library as remembered
    elif BACKEND == "jax":
        from keras_involution.ops.jax.cpp_kernel import _file as remembered
    else:
        from keras_involution.ops.tensorflow.cpp_kernel import _attributes as remembered
    for function in (remembered, compiler.reason):
        function.cache_clear()
    yield
    for function in (remembered, compiler.reason):
        function.cache_clear()


def test_chosen_on_a_cpu():
    if compiler.reason() is not None:
        pytest.skip(compiler.reason())
    assert select(IMPLEMENTATIONS, None, *tensors()).name == "cpp"


def test_without_a_compiler_another_is_chosen(monkeypatch, forget):
    monkeypatch.setattr(compiler, "_toolchain", lambda: "No compiler, says the test.")
    x, k, geometry = tensors()
    assert select(IMPLEMENTATIONS, None, x, k, geometry).name in ("native", "triton")
    with pytest.raises(ValueError, match=r"No compiler, says the test.*Received:"):
        involution(x, k, data_format="channels_last", implementation="cpp")


def test_compiler_errors_are_reasons(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "_folder", lambda: tmp_path)
    source = tmp_path / "wrong.cpp"
    source.write_text("this is no C++;")
    reason = compiler.library(source, {})
    if isinstance(compiler._toolchain(), tuple):
        assert "error" in reason
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.cpp"]


@pytest.mark.parametrize(
    "case",
    [
        Case((70,), (31,), dilation_rate=2, channels=6),
        Case((5, 50), (3, 9), dilation_rate=(1, 4), groups=1, channels=20),
        Case((40, 40), (7, 7), groups=1, channels=40, batch=1),
    ],
    ids=["longer than what is written out", "the same in 2D", "several bands"],
)
def test_beyond_what_fits_registers_and_cache(case):
    assert_definition(case, "float32", "cpp")


def call_at_once() -> None:
    """Gradients from four threads of Python, which the kernel's threads may not mix."""
    cases = [Case((30 + n, 31), (7, 7), channels=32) for n in range(4)]

    def run(index: int) -> None:
        assert_definition(cases[index % 4], "float32", "cpp")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run, range(16)))


def test_many_threads_call_it_at_once():
    # Threads of its own, of OpenMP's number, which is read once in a process.
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
    def test_several_devices_take_a_form_that_xla_can_part(self):
        program = (
            "import jax; from tests.ops.test_cpp import *\n"
            "assert jax.device_count() == 2\n"
            "print(select(IMPLEMENTATIONS, None, *tensors()).name)"
        )
        flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
        answer = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **flags},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.split() == ["native"]

    def test_exported_programs_run_elsewhere(self):
        """With a batch of any size there is no call of ours in the program."""
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
        """JAX's compilation cache hands the same program to the next process."""
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
