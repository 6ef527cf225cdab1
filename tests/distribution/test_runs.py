"""The same losses, weights and metrics on several devices as on one.

Devices are simulated: parts of the CPU on JAX and TensorFlow, processes everywhere.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_involution.training.shards import find_shards, joined_shards

BACKEND = keras.config.backend()
EPOCHS = 4
PARTS = {"strategy": "model"}
HALVES = {"strategy": "model", "model_devices": 2}
FILES = {"shard_bytes": 8192}
"""Of a checkpoint."""

one_process = pytest.mark.skipif(
    BACKEND == "torch", reason="PyTorch runs one process per device"
)
on_jax = pytest.mark.skipif(
    BACKEND != "jax", reason="only JAX shards the weights of a model"
)


def start(folder: Path, runs: list[dict], environment: dict) -> subprocess.Popen:
    shared = {"KERAS_BACKEND": BACKEND, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.distribution.run", str(folder), json.dumps(runs)],
        # A killed process leaves its temporary files behind.
        env={**os.environ, "TMPDIR": str(folder), **shared, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def hosts(processes: int) -> list[dict[str, str]]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(processes)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    common = {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": ",".join(f"127.0.0.1:{p}" for p in ports),
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(processes),
    }
    numbers = range(processes)
    return [common | {"KERAS_DISTRIBUTION_PROCESS_ID": str(n)} for n in numbers]


@pytest.fixture(scope="module")
def in_one_process(tmp_path_factory):
    """The folder with the results of one process on one device and on four."""
    folder = tmp_path_factory.mktemp("devices")
    runs = [{"simulate": 4}, {"name": "one", "epochs": EPOCHS}]
    four = {"arguments": {"devices": 4}, "epochs": EPOCHS}
    runs.append({"name": "data", **four})
    if BACKEND == "jax":
        runs.append({"name": "outside", "outside": True, **four})
        once = {"epochs": 1, "trains": True}
        runs += [
            {"name": "two", "arguments": {"devices": 2}, **once},
            {"name": "four", "resume": "two", "arguments": PARTS, **once, **FILES},
            {"name": "halves", "resume": "four", "arguments": HALVES, **once, **FILES},
            {"name": "last", "resume": "halves", "arguments": {"devices": 1}, **once},
            {"name": "preset", "preset": True, "arguments": PARTS},
            {"name": "loaded", "loads": "preset", "arguments": HALVES},
        ]  # fmt: skip
    process = start(folder, runs, {})
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    (folder / "said.txt").write_text(said)
    return folder


@pytest.fixture(scope="module")
def in_two_processes(tmp_path_factory):
    """The folder, and two processes, the second of which kills itself at the end."""
    folder = tmp_path_factory.mktemp("processes")
    runs = [{"name": "data", "arguments": {}, "epochs": EPOCHS, **FILES}]
    if BACKEND == "torch":
        runs.insert(0, {"name": "one", "epochs": EPOCHS})
    if BACKEND == "jax":
        runs.insert(0, {"simulate": 2})
        runs.append({"name": "parts", "arguments": PARTS, "epochs": EPOCHS})
        runs.append({"name": "preset", "preset": True, "arguments": PARTS})
    runs.append({"name": "never", "arguments": {}, "epochs": 10_000, "die": 1})
    first, second = [start(folder, runs, host) for host in hosts(2)]
    second.communicate(timeout=300)
    killed = time.monotonic()
    said, errors = first.communicate(timeout=120)
    seconds = time.monotonic() - killed
    (folder / "said.txt").write_text(said)
    return folder, first.returncode, second.returncode, seconds, errors


@functools.cache
def results(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def assert_same(path: Path, expected: Path, beginning: str = "") -> None:
    found, wanted = results(path), results(expected)
    names = sorted(name for name in wanted if name.startswith(beginning))
    assert names == sorted(name for name in found if name.startswith(beginning))
    for name in names:
        np.testing.assert_allclose(
            found[name], wanted[name], rtol=2e-5, atol=2e-6, err_msg=name
        )


def test_one_of_two_processes_writes_a_checkpoint_of_several_files(in_two_processes):
    folder, *_ = in_two_processes
    path = folder / "data.checkpoint.npz"
    parts = find_shards(path)
    assert len(parts) > 1 and max(part.stat().st_size for part in parts) <= 8192
    assert len({part.name.split(".")[-2] for part in parts}) == 1
    with np.load(path) as file:
        whole = joined_shards(path, file["shards"])
    with np.load(whole) as file:
        assert json.loads(file["progress"].tobytes()) == {"epochs": EPOCHS}


@one_process
def test_four_devices_train_as_one(in_one_process):
    assert_same(in_one_process / "data-0.npz", in_one_process / "one-0.npz")
    losses = results(in_one_process / "one-0.npz")["losses"]
    assert losses[1] < losses[0] - 0.1, "a network that does not learn shows nothing"
    assert (
        "Running on 4 CPUs in one process" in (in_one_process / "said.txt").read_text()
    )


@on_jax
def test_a_model_from_outside_of_the_block_is_refused(in_one_process):
    said = str(results(in_one_process / "outside-0.npz")["error"])
    assert "incompatible devices for jitted computation" in said


@on_jax
def test_a_run_goes_on_with_more_devices_and_with_fewer(in_one_process):
    """One epoch each on two devices, four with shards, two times two, and one."""
    names = ("two", "four", "halves", "last")
    runs = [in_one_process / f"{name}-0.npz" for name in names]
    alone = in_one_process / "one-0.npz"
    losses = np.concatenate([results(run)["losses"] for run in runs])
    np.testing.assert_allclose(losses, results(alone)["losses"], rtol=2e-5)
    assert_same(runs[-1], alone, "weight_")


@on_jax
def test_a_preset_of_sharded_weights_is_loaded_on_other_devices(in_one_process):
    from keras_involution import RedNetImageClassifier
    from tests.hub.networks import tiny_classifier

    expected = tiny_classifier().get_weights()
    there = results(in_one_process / "loaded-0.npz")
    here = RedNetImageClassifier.from_preset(in_one_process / "preset").get_weights()
    for number, weight in enumerate(expected):
        np.testing.assert_array_equal(there[f"weight_{number}"], weight)
        np.testing.assert_array_equal(here[number], weight)


def test_two_processes_train_as_one_device(in_two_processes, request):
    folder, _, _, _, errors = in_two_processes
    alone = folder / "one-0.npz"
    if BACKEND != "torch":
        alone = request.getfixturevalue("in_one_process") / "one-0.npz"
    for number in (0, 1):
        assert (folder / f"data-{number}.npz").exists(), errors[-3000:]
        assert_same(folder / f"data-{number}.npz", alone)
    assert "in 2 processes" in (folder / "said.txt").read_text()


@on_jax
def test_weights_in_parts_of_two_processes(in_two_processes, in_one_process):
    folder = in_two_processes[0]
    assert_same(folder / "parts-1.npz", in_one_process / "one-0.npz")
    from keras_involution import RedNetImageClassifier
    from tests.hub.networks import tiny_classifier

    loaded = RedNetImageClassifier.from_preset(folder / "preset").get_weights()
    for found, weight in zip(loaded, tiny_classifier().get_weights(), strict=True):
        np.testing.assert_array_equal(found, weight)


def test_a_killed_process_is_an_error_in_the_other(in_two_processes):
    folder, first, second, seconds, errors = in_two_processes
    assert second == -signal.SIGKILL
    assert first not in (0, None), errors[-2000:]
    assert seconds < 60
    assert not list(folder.glob("never*"))
    # On JAX, the coordinator ends the process; other backends raise an error.
    words = {
        "jax": "", "torch": "Connection", "tensorflow": "Unavailable"
    }  # fmt: skip
    assert words[BACKEND] in errors
