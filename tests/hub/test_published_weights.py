"""Loads published weights by a built-in name, from a host on loopback.

A local server has a file of the published format and size, so that the tests need no
network. `tests/hub/test_real_weights.py` downloads from the publisher.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_involution import RedNet26, RedNetImageClassifier
from keras_involution._builtin import PRESETS
from keras_involution.hub import CheckpointError, PresetError, describe, published
from keras_involution.hub._cache import Cache
from tests import published_weights
from tests.hub import checkpoints
from tests.hub.file_host import Fault, FileHost
from tests.marks import one_backend, slow

pytestmark = slow
NAME = "rednet_26_imagenet"
FILE = "RedNet26_pretrained.pdparams"
GOLDEN = Path(__file__).parents[1] / "golden" / "rednet26_stem3_96.npz"
CHILD = """
import sys, numpy as np, keras_involution
model = keras_involution.RedNet26.from_preset(sys.argv[1])
images = np.zeros((1, 32, 40, 3), "uint8")
print(model.classify(images))
"""


@pytest.fixture(scope="session")
def paddle_file(tmp_path_factory):
    """RedNet-26 in the published format, 37 MB."""
    path = tmp_path_factory.mktemp("paddle") / FILE
    arrays = published_weights.network(26, 3)
    return checkpoints.save_paddle(path, arrays).read_bytes()


@pytest.fixture
def host(paddle_file, tmp_path, monkeypatch):
    with FileHost() as host:
        host.files[f"/{FILE}"] = paddle_file
        monkeypatch.setenv(published.MIRROR, host.address)
        monkeypatch.setenv("KERAS_INVOLUTION_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield host


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def kept(cache) -> set[str]:
    """The presets and checkpoints in a cache, without incomplete downloads."""
    found = {p.name for p in cache.root.rglob("*") if p.is_file()}
    return {name for name in found if not name.endswith((".lock", ".part", ".json"))}


def test_outputs_through_the_whole_path(host, cache, capfd):
    """Outputs after download, conversion and caching match the published code."""
    converted = RedNet26.from_preset(NAME)
    assert "SHA-256" in capfd.readouterr().err
    [(path, asked, status)] = host.log
    assert (path, asked, status) == (f"/{FILE}", "", 200)
    loaded = RedNet26.from_preset(NAME)
    assert len(host.log) == 1 and FILE not in kept(cache)
    golden = np.load(GOLDEN)
    for model in (converted, loaded):
        network = keras.Model(model.inputs, model.outputs)  # No preprocessing.
        logits = network.predict(golden_input(), verbose=0)
        error = np.linalg.norm(logits - golden["logits"])
        assert error < 1e-5 * np.linalg.norm(golden["logits"])
    assert model.preprocessor.crop_fraction == 0.875
    [answers] = model.classify([np.zeros((50, 60, 3), "uint8")])
    names = [answer[0] for answer in answers]
    assert len(names) == 5 and set(names) <= set(model.class_names)
    assert model.class_names[288] == "leopard" and len(model.class_names) == 1000
    origin = json.loads((cache.preset(NAME) / "metadata.json").read_text())[
        "weights_origin"
    ]
    assert origin["url"] == f"{host.address}/{FILE}" and len(origin["sha256"]) == 64


def golden_input() -> np.ndarray:
    """The input of the golden outputs, as tests/models/test_published_values.py."""
    x = np.random.default_rng(11).standard_normal((2, 3, 96, 96)).astype("float32")
    return np.moveaxis(x, 1, -1)


def replaced(name: str, value: np.ndarray) -> bytes:
    arrays = published_weights.network(26, 3)
    arrays[name] = value
    path = Path(os.environ["KERAS_INVOLUTION_CACHE"]).parent / "changed.pdparams"
    return checkpoints.save_paddle(path, arrays).read_bytes()


def variance(value: float) -> bytes:
    return replaced("backbone.stem.2.running_var", np.full(32, value, "float32"))


WRONG = {
    "holds NaN": lambda data: replaced(
        "backbone.stem.2.bias", np.full(32, np.nan, "float32")
    ),
    "variance that is not positive": lambda data: variance(-1.0),
    "left over": lambda data: pickle.dumps({**pickle.loads(data), "x": np.ones(1)}, 4),
    "cannot be read": lambda data: data[:-40_000],
    "asks for `posix.mkdir`": lambda data: pickle.dumps(
        {"x": bytes(37_000_000), "y": checkpoints.RunsCode(Path("ran"))}
    ),
    "depth 50": lambda data: (
        # Few distinct values, so that it compresses to the size of the other depth.
        checkpoints.save_paddle(
            Path(os.environ["KERAS_INVOLUTION_CACHE"]).parent / "50.pdparams",
            checkpoints.small_network(50, classes=1000),
        ).read_bytes()
    ),
}


@one_backend
@pytest.mark.parametrize("sentence", WRONG)
def test_a_wrong_file_is_refused_and_not_kept(host, cache, monkeypatch, sentence):
    entry = PRESETS[NAME]
    bounds = {**entry["published"], "file_bytes": (10_000_000, 100_000_000)}
    monkeypatch.setitem(PRESETS, NAME, {**entry, "published": bounds})
    right = host.files[f"/{FILE}"]
    host.files[f"/{FILE}"] = WRONG[sentence](right)
    with pytest.raises(CheckpointError) as caught:
        RedNetImageClassifier.from_preset(NAME)
    message = str(caught.value)
    assert sentence in message and host.address in message
    assert message.endswith(f"Received: preset='{NAME}'")
    assert kept(cache) == set() and not cache.record(NAME).exists()
    assert not Path("ran").exists()


@one_backend
def test_by_address_and_offline(host, cache, monkeypatch, tmp_path):
    url = f"{host.address}/{FILE}"
    model = RedNet26.from_preset(url)
    assert model.num_classes == 1000
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert RedNet26.from_preset(url, load_weights=False).num_classes == 1000
    assert len(host.log) == 1
    with pytest.raises(PresetError) as caught:
        RedNet26.from_preset(NAME)
    place = cache.checkpoint(NAME, FILE)
    for words in ("HF_HUB_OFFLINE", url, str(place)):
        assert words in str(caught.value)
    place.parent.mkdir(parents=True)
    place.write_bytes(host.files[f"/{FILE}"])
    RedNet26.from_preset(NAME)
    assert place.exists() and len(host.log) == 1
    assert (
        "37," in describe(NAME)["weights"]
        and "sha256" in describe(NAME)["weights origin"]
    )


def start() -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, NAME],
        env={**os.environ, "KERAS_BACKEND": keras.config.backend()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> None:
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0 and out.count("%") == 5, errors[-3000:]


@one_backend
def test_killed_in_the_middle_and_two_at_once(host, cache):
    stalled = Fault(stall_after=20_000_000)
    host.faults = [stalled]
    killed = start()
    assert stalled.reached.wait(120)
    part = cache.checkpoint(NAME, f"{FILE}.part")
    while not part.is_file() or part.stat().st_size < 10_000_000:
        assert killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert kept(cache) == set()
    both = [start(), start()]
    for process in both:
        finish(process)
    (_, first, _), (_, second, status) = host.log
    assert first == "" and second.startswith("bytes=") and status == 206
    assert int(second[6:-1]) >= 10_000_000
    assert FILE not in kept(cache)
