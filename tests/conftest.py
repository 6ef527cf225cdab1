"""Settings of the whole suite: one backend a process, no telemetry, no downloads."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile

# Read when the libraries are imported, so set before anything imports them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# The backends are tested side by side: threads that wait for each other, as those of
# OpenMP do, take the time of the others. tests/ops asks for two where they matter.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# TensorFlow convolves channels first with oneDNN alone, which it takes by itself on
# processors with AVX-512 only.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Compiling is most of the work here. LLVM's optimisations are not ours to test; with
# `XLA_FLAGS= make test` they are on.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# What JAX has compiled for one test serves the others, and the processes they start.
os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="kept_programs_")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"

import keras
import pytest


@pytest.fixture(autouse=True, scope="session")
def kept_programs():
    yield
    shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"])


@pytest.fixture(autouse=True)
def fresh_session():
    """Layer names count from one, and the seed is fixed, in every test."""
    # No collection of garbage here: after every test it would take minutes.
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="module")
def nothing_left_over():
    """The networks of a file of tests are freed before the next."""
    yield
    gc.collect()


@pytest.fixture(params=("channels_last", "channels_first"))
def data_format(request) -> str:
    return request.param
