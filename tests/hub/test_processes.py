"""Clients in separate processes: killed, concurrent, and with a full disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.hub.hub_double import Fault
from tests.hub.networks import outputs
from tests.hub.test_other_backends import OTHERS
from tests.marks import one_backend

WEIGHTS = "/_objects/"
pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="signals and symbolic links of POSIX systems"
)


def start(environment, *arguments, backend=None) -> subprocess.Popen:
    backend = backend or keras.config.backend()
    return subprocess.Popen(
        [sys.executable, "-m", "tests.hub.client", *map(str, arguments)],
        env={**os.environ, **environment, "KERAS_BACKEND": backend},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process) -> str:
    out, messages = process.communicate(timeout=300)
    assert process.returncode == 0, messages
    assert "hf_owner" not in out + messages
    return out


def assert_outputs(path: Path, classifier) -> None:
    np.testing.assert_allclose(np.load(path), outputs(classifier), rtol=1e-4)


@one_backend
def test_another_backend_and_keras_hub_at_once(
    hub, published, environment, classifier, tmp_path
):
    """Two processes fill one cache at the same time."""
    pytest.importorskip("keras_hub", reason="keras-hub is an extra")
    other = next(b for b in OTHERS if b != "tensorflow")
    hub.repositories["owner/tiny"].private = True
    runs = [
        start(environment, "pull", published, tmp_path / "0.npy", backend=other),
        start(environment, "keras_hub", published, tmp_path / "1.npy"),
    ]
    for index, run in enumerate(runs):
        finish(run)
        assert_outputs(tmp_path / f"{index}.npy", classifier)
    assert hub.leaks == []


@one_backend
def test_killed_in_the_middle_of_a_weights_file(
    hub, published, environment, classifier, tmp_path
):
    fault = hub.faults.add(Fault("GET", WEIGHTS, stop_after=5000, times=1))
    killed = start(environment, "pull", published, tmp_path / "y.npy")
    assert fault.reached.wait(120)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    hub.faults.clear()
    snapshots = Path(environment["HF_HUB_CACHE"]).glob("*/snapshots/*/*.h5")
    assert list(snapshots) == []
    runs = [
        start(environment, "pull", published, tmp_path / f"{i}.npy") for i in (0, 1)
    ]
    for index, run in enumerate(runs):
        finish(run)
        assert_outputs(tmp_path / f"{index}.npy", classifier)


@one_backend
@pytest.mark.parametrize(
    ("method", "path"), [("PUT", WEIGHTS), ("POST", "/commit/")], ids=["file", "commit"]
)
def test_killed_in_the_middle_of_a_push(hub, saved, environment, method, path):
    answer = Fault(method, path, stop_after=0, times=1)
    if method == "POST":
        answer.status = 500  # before the commit is there
    fault = hub.faults.add(answer)
    killed = start(environment, "push", saved, "owner/new")
    assert fault.reached.wait(120)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    hub.faults.clear()
    assert set(hub.files("owner/new")) == {".gitattributes"}
    hub.log.clear()
    assert "/owner/new/commit/" in finish(
        start(environment, "push", saved, "owner/new")
    )
    assert {path.name for path in saved.iterdir()} < set(hub.files("owner/new"))
    sent = len(hub.requests("PUT"))
    assert sent == 0 if method == "POST" else sent < 2


@one_backend
@pytest.mark.parametrize("kind", ["a file limit", "a small tmpfs"])
def test_full_disk(hub, published, environment, classifier, tmp_path, kind):
    cache = tmp_path / "small"
    cache.mkdir()
    small = {**environment, "HF_HUB_CACHE": str(cache)}
    command = "pull_on_a_full_disk"
    if kind == "a small tmpfs":
        command = "pull"
        mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(cache)]
        if (
            shutil.which("mount") is None
            or subprocess.run(mount, capture_output=True).returncode
        ):
            pytest.skip("mounting is not permitted here; the file limit stands for it")
    try:
        run = start(small, command, published, tmp_path / "y.npy")
        _, messages = run.communicate(timeout=300)
        assert run.returncode == 1
        last = messages.strip().splitlines()[-1]
        assert "no space left" in last.lower() and "Received: preset=" in last, messages
        assert list(cache.glob("*/snapshots/*/*.h5")) == []
    finally:
        if kind == "a small tmpfs":
            subprocess.run(["umount", str(cache)], check=True)
    finish(start(environment, "pull", published, tmp_path / "y.npy"))
    assert_outputs(tmp_path / "y.npy", classifier)
