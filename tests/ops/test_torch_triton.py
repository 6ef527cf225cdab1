"""The Triton programs in Triton's interpreter, where there is no CUDA device.

The interpreter must be selected before Triton is imported and applies to the whole
process, so the shared test body runs in a separate process.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from keras_involution.ops import involution
from keras_involution.ops.torch.triton_kernel import TRITON
from tests.ops.test_implementations import REQUIRED

# The location of Triton if it is not in the environment. It cannot be loaded together
# with TensorFlow, which other tests of the same environment need.
FOLDER = os.environ.get("KERAS_INVOLUTION_TRITON", "")
# All geometries in float32, two of them in half precision: it takes about a minute.
SELECTED = "triton and (float32 or 9x7-k3x5 or 12x5)"


@pytest.mark.skipif(
    torch.cuda.is_available(), reason="The shared tests run Triton on the CUDA device."
)
def test_programs_equal_the_definition(tmp_path):
    installed = importlib.util.find_spec("triton") is not None
    if not (installed or FOLDER or "triton" in REQUIRED):
        pytest.skip("Triton is not installed.")
    test = "tests/ops/test_implementations.py::test_equals_the_definition"
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
        + ["-k", SELECTED],
        env={
            **os.environ,
            "TRITON_INTERPRET": "1",
            "KERAS_BACKEND": "torch",
            "PYTHONPATH": FOLDER,
            # If it is killed, its files stay in the folder of this test.
            "TMPDIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "32 passed" in answer.stdout, answer.stdout
    assert "skipped" not in answer.stdout, answer.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="Triton can run here.")
def test_elsewhere_it_says_why_it_cannot_run():
    x, k = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 2, 3, 3)
    reason = TRITON.unsupported_reason(x, k, None)
    assert "CUDA" in reason or "not installed" in reason
    with pytest.raises(ValueError, match=r"cannot run here: .*(CUDA|not installed)"):
        involution(x, k, data_format="channels_last", implementation="triton")
