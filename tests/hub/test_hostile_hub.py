"""An untrusted Hub: harmful file names, waits and listings."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from keras_involution import RedNetImageClassifier
from keras_involution.hub import PresetError, transfer
from tests.hub.file_host import Fault as FileFault
from tests.hub.file_host import FileHost
from tests.hub.hub_double import Fault
from tests.hub.networks import assert_same_weights
from tests.marks import one_backend

pytestmark = one_backend
WEIGHTS = "/_objects/"


def pull(preset="hf://owner/tiny"):
    return RedNetImageClassifier.from_preset(preset)


@pytest.mark.parametrize("tag", ["../../../../x", "/tmp/x", "..", "a/b", ""])
def test_an_etag_names_no_file(
    hub, published, classifier, environment, tmp_path, monkeypatch, tag
):
    """huggingface_hub 2.4 writes the file to `blobs/<ETag>`, wherever that is."""
    victim = tmp_path / "x"
    victim.write_text("of the user")
    original = hub.answer

    def answer(request):
        reply = original(request)
        headers = {"ETag": f'"{tag}"', "X-Linked-Etag": f'"{tag}"'}
        return replace(reply, headers={**reply.headers, **headers})

    monkeypatch.setattr(hub, "answer", answer)
    assert_same_weights(pull(published), classifier)
    assert victim.read_text() == "of the user"
    inside = {tmp_path / name for name in ("cache", "home", "x")}
    assert set(tmp_path.iterdir()) <= inside
    blobs = (tmp_path / "cache").glob("models--*/blobs/*")
    assert {len(path.name) for path in blobs} <= {40, 64}


def test_a_long_wait_is_cut(hub, published, classifier, monkeypatch):
    limits = replace(transfer.FILES, longest_wait=0.2)
    monkeypatch.setattr(transfer, "FILES", limits)
    headers = {"Retry-After": "100000"}
    hub.faults.add(Fault("GET", WEIGHTS, status=429, headers=headers, times=2))
    begin = time.monotonic()
    assert_same_weights(pull(published), classifier)
    assert time.monotonic() - begin < 60
    assert transfer.Limits().wait(1, 100_000.0) == transfer.Limits().longest_wait


COMMIT = "0" * 40
FILE = {"rfilename": "config.json", "size": 10, "blobId": "1" * 40}


def listing(**changes) -> bytes:
    info = {"sha": COMMIT, "siblings": [FILE], **changes}
    return json.dumps(info).encode()


LISTINGS = {
    "empty": b"",
    "text": b"hello",
    "html": b"<html>Sign in</html>",
    "list": b"[]",
    "null": b"null",
    "number": b"7",
    "deep": b"[" * 100_000,
    "no commit": json.dumps({"siblings": [FILE]}).encode(),
    "commit of another form": listing(sha="../../../../x"),
    "commit is a number": listing(sha=7),
    "files are a number": listing(siblings=7),
    "files are texts": listing(siblings=["config.json"]),
    "no name": listing(siblings=[{"size": 1}]),
    "name is a list": listing(siblings=[{**FILE, "rfilename": ["a"]}]),
    "size is a text": listing(siblings=[{**FILE, "size": "10"}]),
    "size below zero": listing(siblings=[{**FILE, "size": -1}]),
    "size is true": listing(siblings=[{**FILE, "size": True}]),
    "hash is a path": listing(siblings=[{**FILE, "blobId": "../../../../x"}]),
    "hash is short": listing(siblings=[{**FILE, "blobId": "12"}]),
    "lfs is a text": listing(siblings=[{**FILE, "lfs": "x"}]),
    "lfs without a hash": listing(siblings=[{**FILE, "lfs": {"size": 3}}]),
    "no hash": listing(siblings=[{**FILE, "blobId": None}]),
}


@pytest.fixture
def bare(environment, monkeypatch, tmp_path):
    """A server that sends one given listing."""
    limits = replace(transfer.LISTINGS, first_wait=0.0, total=3.0)
    monkeypatch.setattr(transfer, "LISTINGS", limits)
    with FileHost() as host:
        monkeypatch.setenv("HF_ENDPOINT", host.address)
        yield host


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_of_another_form(bare, tmp_path, name):
    bare.files["/api/models/owner/tiny?blobs=true"] = LISTINGS[name]
    with pytest.raises(PresetError, match=r"Received: preset='hf://owner/tiny'"):
        pull()
    assert not list(tmp_path.rglob("blobs/*"))


def test_a_listing_that_does_not_end(bare, monkeypatch):
    bare.files["/api/models/owner/tiny?blobs=true"] = b" " * 10_000_000
    bare.faults = [FileFault(stall_after=10, trickle=0.05, times=9)]
    begin = time.monotonic()
    with pytest.raises(PresetError, match="Received: preset="):
        pull()
    assert time.monotonic() - begin < 15


def test_a_listing_that_is_too_large(bare):
    bare.files["/api/models/owner/tiny?blobs=true"] = b" " * (17 * 2**20)
    with pytest.raises(PresetError, match="more than 16777216 bytes"):
        pull()
