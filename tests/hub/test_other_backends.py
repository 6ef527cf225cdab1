"""Presets of this backend load on the two others, and the reverse."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest

from keras_involution import RedNetImageClassifier
from tests.hub.networks import (
    CLASS_NAMES,
    assert_same_weights,
    outputs,
    tiny_classifier,
)

OTHERS = [
    backend
    for backend in ("tensorflow", "jax", "torch")
    if backend != keras.config.backend()
]


@pytest.fixture(scope="module")
def int8(tmp_path_factory):
    """(a quantized classifier, its preset)."""
    model, folder = tiny_classifier(), tmp_path_factory.mktemp("int8") / "p"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Layer .* does not have a `quantize` method")
        model.quantize("int8")
    model.save_to_preset(folder)
    return model, folder


@pytest.fixture(scope="module")
def runs(saved, int8, tmp_path_factory):
    """Backend -> (process that loads the preset and saves it again, its folder)."""
    started = {}
    for backend in filter(importlib.util.find_spec, OTHERS):
        folder = tmp_path_factory.mktemp(backend)
        command = [sys.executable, "-m", "tests.hub.other_process", str(saved)]
        process = subprocess.Popen(
            [*command, str(folder / "y.npy"), str(folder / "back"), str(int8[1])],
            env={**os.environ, "KERAS_BACKEND": backend},
            stderr=subprocess.PIPE,
            text=True,
        )
        started[backend] = process, folder
    yield started
    for process, _ in started.values():
        process.kill()


@pytest.mark.parametrize("backend", OTHERS)
def test_same_outputs_there_and_back(runs, int8, classifier, backend):
    if backend not in runs:
        pytest.skip(f"{backend} is not installed")
    process, folder = runs[backend]
    _, messages = process.communicate()
    assert process.returncode == 0, messages
    expected = outputs(classifier)
    np.testing.assert_allclose(np.load(folder / "y.npy"), expected, rtol=1e-4)
    assert np.ptp(expected) > 1e-3 * np.abs(expected).max()
    expected = outputs(int8[0])
    np.testing.assert_allclose(np.load(folder / "y.npy.int8.npy"), expected, rtol=1e-4)
    returned = RedNetImageClassifier.from_preset(folder / "back")
    assert_same_weights(returned, classifier)
    assert returned.class_names == CLASS_NAMES
