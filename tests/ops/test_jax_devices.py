"""The C++ implementation on several devices of JAX: each computes its own images."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from keras_involution.ops import _reference
from keras_involution.ops._cpp import loading
from tests.ops.cases import tolerance
from tests.ops.jax_devices import CASES, FUNCTIONS, MATRIX, Sharded

pytestmark = pytest.mark.skipif(
    loading.reason() is not None, reason=str(loading.reason())
)
IDS = list(map(str, CASES))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder with the results of four devices."""
    folder = tmp_path_factory.mktemp("devices")
    command = [sys.executable, "-m", "tests.ops.jax_devices", str(folder)]
    answer = subprocess.run(command, env=os.environ, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-3000:]
    return folder


def expected(case: Sharded) -> list[np.ndarray]:
    x, k, dy, u, v, geometry = case.tensors()
    involution, gradients = _reference.involution, _reference.gradients
    results = {
        "outputs": lambda: [involution(x, k, geometry)],
        "gradients": lambda: gradients(x, k, dy, geometry),
        "tangents": lambda: [
            involution(u, k, geometry) + involution(x, v, geometry)
        ],
        "second_derivatives": lambda: gradients(u, v, dy, geometry),
        "fused_gradients": lambda: _reference.fused_gradients(
            x, dy[..., :3], MATRIX, MATRIX[0], dy, geometry
        )[:2],
    }[case.function.__name__]()  # fmt: skip
    if case.transformation.startswith("vmap"):
        return [np.stack([result, 4 * result]) for result in results]
    return list(results)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_values(folder, case):
    with np.load(folder / f"{CASES.index(case)}.npz") as file:
        found = list(file.values())
    for array, wanted in zip(found, expected(case), strict=True):
        error = np.linalg.norm(array.reshape(wanted.shape) - wanted)
        assert error <= tolerance(case.dtype, 2 * 9) * np.linalg.norm(wanted)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_program_calls_the_compiled_functions(folder, case):
    assert programs(folder)[CASES.index(case)]["batches"] != []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_devices_compute_their_images_without_communication(folder, function):
    found = programs(folder)[CASES.index(Sharded(function))]
    assert found == {"batches": [4], "collectives": []}
    if function.__name__ == "gradients":
        found = programs(folder)[CASES.index(Sharded(function, "batch over two axes"))]
        assert found == {"batches": [2], "collectives": []}


def programs(folder) -> list[dict]:
    return json.loads((folder / "programs.json").read_text())
