"""Tests of one backend are left out where another one runs."""

from __future__ import annotations

import os

# Read when an implementation checks whether it can run.
os.environ.setdefault("KERAS_INVOLUTION_INTERPRET", "1")

import keras
import pytest

_OTHERS = {"tensorflow", "jax", "torch"} - {keras.config.backend()}
collect_ignore_glob = [
    pattern
    for other in _OTHERS
    for pattern in (f"test_{other}*.py", f"test_*_{other}.py")
]


@pytest.fixture(autouse=True, scope="module")
def two_threads():
    """Runs with two threads, since errors in the division of work need several."""
    if keras.config.backend() != "torch":
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def unwritten_memory_is_nan():
    """Torch fills new tensors with NaN, which reveals results that were not written."""
    if keras.config.backend() != "torch":
        yield
        return
    import torch

    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
