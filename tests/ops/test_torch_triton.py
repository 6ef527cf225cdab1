"""The Triton programs in Triton's interpreter, where there is no CUDA device.

The interpreter must be chosen before Triton is imported, and then serves the whole
process: so the shared test body runs in another one, on a few small cases.
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

CASES = (
    "float32-7x9-k3x3-g2of8-s1-d1-last",
    "bfloat16-9x7-k3x5-g2of8-s(2,1)-d1-first",
    "float32-10x11-k3x3-g2of8-s3-d2-last",
    "float16-12x5-k3x3-g3of48-s1-d1-last",
    "float32-6x5-k5x3-g2of8-s1-d(1,2)-first",
)


@pytest.mark.skipif(
    torch.cuda.is_available(), reason="The shared tests run Triton on the CUDA device."
)
def test_programs_equal_the_definition():
    if importlib.util.find_spec("triton") is None and "triton" not in REQUIRED:
        pytest.skip("Triton is not installed.")
    test = "tests/ops/test_implementations.py::test_equals_the_definition"
    selected = [f"{test}[triton-{_reordered(case)}]" for case in CASES]
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *selected],
        env={**os.environ, "TRITON_INTERPRET": "1", "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{len(CASES)} passed" in answer.stdout, answer.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="Triton can run here.")
def test_elsewhere_it_says_why_it_cannot_run():
    x, k = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 2, 3, 3)
    reason = TRITON.unsupported_reason(x, k, None)
    assert "CUDA" in reason or "not installed" in reason
    with pytest.raises(ValueError, match=r"cannot run here: .*(CUDA|not installed)"):
        involution(x, k, data_format="channels_last", implementation="triton")


def _reordered(case: str) -> str:
    dtype, _, sizes = case.partition("-")
    return f"{sizes}-{dtype}"
