"""Fixtures of the preset tests."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace

import pytest

from keras_involution.hub import transfer
from tests.hub import networks
from tests.hub.hub_double import HubDouble


@pytest.fixture(scope="session")
def classifier():
    return networks.tiny_classifier()


@pytest.fixture(scope="session")
def saved(classifier, tmp_path_factory):
    """A preset of `classifier`. Tests that change files use `preset`."""
    folder = tmp_path_factory.mktemp("presets") / "tiny"
    classifier.save_to_preset(folder)
    return folder


@pytest.fixture
def preset(saved, tmp_path):
    """A copy of the preset that a test may damage."""
    return shutil.copytree(saved, tmp_path / "tiny")


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """Environment variables for a client of the double; `hub` also sets them here."""
    variables = {
        "HF_TOKEN": "hf_owner",
        "TMPDIR": str(tmp_path),  # Killed processes leave their files there.
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return variables


@pytest.fixture
def hub(environment, monkeypatch):
    """A separate Hub for one test, with this process as its client."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    with HubDouble() as double:
        environment["HF_ENDPOINT"] = double.endpoint
        monkeypatch.setenv("HF_ENDPOINT", double.endpoint)
        # huggingface_hub read its environment when Keras imported it.
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", environment["HF_HOME"] + "/t")
        # Clients wait between tries. The tests count tries, not seconds.
        for name in ("FILES", "LISTINGS"):
            limits = replace(getattr(transfer, name), first_wait=0.0)
            monkeypatch.setattr(transfer, name, limits)
        monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        yield double


@pytest.fixture
def published(hub, saved):
    """The handle of the preset in a public repository of the double."""
    files = {path.name: path.read_bytes() for path in saved.iterdir()}
    hub.add("owner/tiny", files)
    return "hf://owner/tiny"
