"""Downloads from a server on loopback: clear errors, and the next try works."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from keras_involution.hub import PresetError, _locks, published, transfer
from keras_involution.hub._cache import Cache
from keras_involution.hub.client import Client, Content
from keras_involution.hub.published import PublishedWeights, fetch_published
from keras_involution.hub.transfer import TransferError
from tests.hub.file_host import Fault, FileHost
from tests.marks import one_backend

pytestmark = one_backend
DATA = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
NAME = "RedNet50_pretrained.pdparams"
QUICK = transfer.Limits(tries=3, first_wait=0.01, longest_wait=0.05, stall=0.5)


@pytest.fixture
def host(monkeypatch):
    monkeypatch.setattr(transfer, "FILES", QUICK)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv(published.MIRROR, raising=False)
    with FileHost() as host:
        host.files[f"/{NAME}"] = DATA
        yield host


@pytest.fixture
def weights(host):
    return PublishedWeights(
        f"{host.address}/{NAME}", (250_000, 350_000), "source", "license"
    )


@pytest.fixture
def fetch(weights, tmp_path):
    """Fetches the file of the host; arguments change what is known about it."""

    def call(mirror=None, **known):
        changed = replace(weights, **known)
        return fetch_published("x", changed, Cache(tmp_path), mirror)

    return call


def files(tmp_path):
    return {path.name for path in tmp_path.rglob("*") if path.is_file()}


def cut(size):
    return lambda data: data[:size]


FATAL = {
    "status 404": Fault(status=404),
    "status 403": Fault(status=403),
    "web page": Fault(headers={"Content-Type": "text/html; charset=utf-8"}),
    "a web page instead": Fault(body=lambda data: b"<!DOCTYPE html>" + data[15:]),
    "file of 100 bytes": Fault(body=cut(100)),
    "file of 400000 bytes": Fault(body=lambda data: data + bytes(100_000)),
    "more than 350000 bytes": Fault(
        body=lambda data: data + bytes(100_000), headers={"Content-Length": None}
    ),
    "file of 1000 bytes": Fault(body=cut(1000), headers={"Content-Length": None}),
    "compressed": Fault(headers={"Content-Encoding": "gzip"}),
    "not encrypted": Fault(status=302, headers={"Location": "http://example.org/x"}),
    "with credentials": Fault(
        status=302, headers={"Location": "https://me:secret@example.org/x"}
    ),
    "redirects to file://None": Fault(
        status=301, headers={"Location": "file:///etc/passwd"}
    ),
}


@pytest.mark.parametrize("sentence", FATAL)
def test_what_no_second_try_can_mend(host, fetch, tmp_path, sentence):
    host.faults = [replace(FATAL[sentence], times=1)]
    with pytest.raises(PresetError) as caught:
        fetch()
    message = str(caught.value)
    assert sentence in message and "secret" not in message
    for words in (host.address, "`mirror`", str(tmp_path), "Received: preset='x'"):
        assert words in message
    assert len(host.log) == 1 and files(tmp_path) == set()
    assert fetch().path.read_bytes() == DATA


TEMPORARY = {
    "status 500": [Fault(status=500)],
    "status 503, asks for a day": [Fault(503, {"Retry-After": "100000"})],
    "cut at 10 %": [Fault(cut_after=30_000)],
    "cut at 99 %": [Fault(cut_after=297_000)],
    "cut ten times": [Fault(cut_after=30_000, times=9)],
    "stalled": [Fault(stall_after=100_000)],
    "trickle": [Fault(stall_after=100_000, trickle=0.1)],
    "no Range": [Fault(cut_after=9_000), Fault(without_range=True)],
    "another file": [Fault(cut_after=9_000, body=lambda data: bytes(len(data)))],
    "416": [Fault(cut_after=9_000), Fault(status=416)],
    "without ETag": [Fault(cut_after=9_000, headers={"ETag": None})],
    "weak ETag": [Fault(cut_after=9_000, headers={"ETag": 'W/"1"'})],
}


@pytest.mark.parametrize("name", TEMPORARY)
def test_what_a_second_try_mends(host, fetch, tmp_path, name):
    host.faults = [replace(fault) for fault in TEMPORARY[name]]
    begin = time.monotonic()
    found = fetch()
    assert found.path.read_bytes() == DATA and found.sha256 == SHA256
    assert files(tmp_path) == {NAME}
    assert time.monotonic() - begin < 20
    ranges = [asked for _, asked, _ in host.log]
    resumed = ("cut at", "cut ten", "stalled", "trickle")
    assert any(ranges) == name.startswith((*resumed, "no Range", "another", "416"))
    if name.startswith(resumed):
        assert host.log[-1][2] == 206
        assert "If-Range" in host.requests[-1]


def test_a_part_of_another_file_is_not_continued(host, fetch):
    """The server ignores `If-Range` and sends the end of its current file."""
    begun = Fault(cut_after=9_000, headers={"ETag": '"old"'})
    host.faults = [begun, Fault(status=0, headers={"ETag": '"new"'}, keep_range=True)]
    assert fetch().path.read_bytes() == DATA
    assert [status for *_, status in host.log] == [200, 206, 200]


@pytest.mark.parametrize(
    "fault", [Fault(500), Fault(cut_after=0), Fault(stall_after=0)]
)
def test_a_server_that_always_fails(host, fetch, tmp_path, monkeypatch, fault):
    """Counts the requests and the requested waits, and measures no time.

    With the default limits, the waits add up to 15 seconds, and each wait is bounded
    even if the server requests a longer one.
    """
    waits = []
    monkeypatch.setattr(transfer, "sleep", waits.append)
    host.faults = [replace(fault, times=100)]
    with pytest.raises(PresetError, match=r"Try again.*mirror.*Received: preset='x'"):
        fetch()
    assert len(host.log) == QUICK.tries == 3 and waits == [0.01, 0.02]
    usual = transfer.Limits()
    assert sum(usual.wait(n) for n in range(1, usual.tries)) == 15
    assert usual.wait(1, asked=1e9) == usual.longest_wait == 30
    assert NAME not in files(tmp_path)
    host.faults = []
    assert fetch().path.read_bytes() == DATA


def test_a_deadline_for_all_tries_together(host, fetch, monkeypatch):
    """Every try brings a byte, so only the deadline can end it."""
    limits = replace(QUICK, total=1.0, stall=30.0)
    monkeypatch.setattr(transfer, "FILES", limits)
    host.faults = [Fault(stall_after=1000, trickle=0.05, times=100)]
    begin = time.monotonic()
    with pytest.raises(PresetError, match="longer than 1 s"):
        fetch()
    assert time.monotonic() - begin < 5


def test_the_rest_is_fetched_by_another_process(host, fetch, tmp_path):
    host.faults = [Fault(cut_after=100_000), Fault(status=500, times=9)]
    with pytest.raises(PresetError):
        fetch()
    assert files(tmp_path) == {f"{NAME}.part", f"{NAME}.part.json"}
    host.faults = []
    assert fetch().path.read_bytes() == DATA
    assert host.log[-1][1:] == ("bytes=100000-", 206)


def test_a_pinned_hash(host, fetch, tmp_path):
    host.faults = [Fault(body=lambda data: data[:5000] + b"?" + data[5001:])]
    with pytest.raises(PresetError, match=rf"not {SHA256} as recorded in the table"):
        fetch(sha256=SHA256)
    assert files(tmp_path) == set()
    assert fetch(sha256=SHA256).sha256 == SHA256


def test_the_hash_of_the_first_use(host, fetch, tmp_path, capfd):
    first = fetch()
    published.record_first_use(Cache(tmp_path), "x", first)
    assert SHA256 in capfd.readouterr().err
    first.path.unlink()
    changed = bytes(300_000)
    host.files[f"/{NAME}"] = changed
    with pytest.raises(PresetError, match=rf"not {SHA256} as at first use on \d{{4}}-"):
        fetch()
    Cache(tmp_path).record("x").unlink()
    assert fetch().sha256 == hashlib.sha256(changed).hexdigest()


def test_a_file_that_somebody_put_there(host, fetch, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    place = Cache(tmp_path).checkpoint("x", NAME)
    with pytest.raises(PresetError) as caught:
        fetch()
    for words in ("HF_HUB_OFFLINE", f"{host.address}/{NAME}", str(place)):
        assert words in str(caught.value)
    place.parent.mkdir(parents=True)
    place.write_bytes(DATA)
    assert not fetch().downloaded and host.log == []
    place.write_bytes(bytes(300_000))
    with pytest.raises(PresetError, match=f"Remove {place}"):
        fetch(sha256=SHA256)
    assert place.exists()


def test_a_mirror(host, fetch, monkeypatch):
    host.files[f"/mine/{NAME}"] = DATA
    fetch(mirror=f"{host.address}/mine/").path.unlink()
    monkeypatch.setenv(published.MIRROR, f"{host.address}/mine")
    fetch()
    assert [path for path, *_ in host.log] == [f"/mine/{NAME}"] * 2


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x.pth",
        "https://a:b@example.org/x.pth",
        "https:///x.pth",
        "ftp://example.org/x.pth",
    ],
)
def test_addresses_that_are_not_asked(fetch, url):
    with pytest.raises(PresetError, match=r"https://.*Received: url="):
        fetch(url=url)


def test_a_redirect_to_another_host_takes_no_secrets(host, tmp_path):
    host.faults = [Fault(302, {"Location": f"http://localhost:{host.address[-5:]}/x"})]
    host.files["/x"] = DATA
    address = transfer.Address(
        f"{host.address}/{NAME}", {"Authorization": "Bearer secret"}, True
    )
    assert transfer.fetch(address, 10**6) == DATA
    assert "Authorization" in host.requests[0]
    assert "Authorization" not in host.requests[1]
    host.faults = [Fault(302, {"Location": "/x"}, times=9)]
    with pytest.raises(TransferError, match="more than five times"):
        transfer.fetch(address, 10**6)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if (
        not shutil.which("mount")
        or subprocess.run(mount, capture_output=True).returncode
    ):
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("length", ["known", "unknown"])
def test_a_full_disk(host, weights, small_disk, length):
    if length == "unknown":
        host.faults = [Fault(headers={"Content-Length": None})]
    with pytest.raises(PresetError) as caught:
        fetch_published("x", weights, Cache(small_disk))
    for words in (NAME, "bytes are free", "Received: "):
        assert words in str(caught.value)
    assert NAME not in files(small_disk)
    subprocess.run(["mount", "-o", "remount,size=1M", str(small_disk)], check=True)
    assert fetch_published("x", weights, Cache(small_disk)).sha256 == SHA256


def test_a_cache_that_cannot_be_written(host, weights, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with (
        pytest.raises(PresetError, match=r"cache_dir.*KERAS_INVOLUTION_CACHE"),
        Cache(small_disk).locked("x"),
    ):
        pass
    with pytest.raises(PresetError, match=r"cache_dir.*KERAS_INVOLUTION_CACHE"):
        fetch_published("x", weights, Cache(small_disk))
    assert host.log == []


HOLDER = """
import sys, time, filelock
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextlib.contextmanager
def another_process_holds(lock, seconds):
    lock.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-S", "-c", HOLDER, str(lock), str(seconds)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout.readline()
        try:
            yield
        finally:
            holder.kill()


def test_a_lock_that_is_released_is_waited_for(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(_locks, "FIRST_WORD", 0.1)
    monkeypatch.setattr(_locks, "LATER_WORDS", 0.2)
    lock = tmp_path / "locks" / "x.lock"
    with another_process_holds(lock, 1), Cache(tmp_path).locked("x"):
        pass
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) > 1 and all(str(lock) in line for line in lines)


@pytest.mark.parametrize("of_hub", [False, True])
def test_a_lock_that_is_never_released(tmp_path, monkeypatch, of_hub):
    """A stopped process keeps its lock; the error names the lock file."""
    monkeypatch.setattr(_locks, "LOCK_SECONDS", 0.3)
    client = Client("owner/tiny", cache_dir=tmp_path)
    content = Content("0" * 40, 10)
    lock = tmp_path / "locks" / "x.lock"
    if of_hub:
        lock = tmp_path / ".locks" / client.folder.name / f"{content.hash}.lock"
    begin = time.monotonic()
    with another_process_holds(lock, 60), pytest.raises(PresetError) as caught:
        if of_hub:
            client.download("config.json", "1" * 40, content)
        with Cache(tmp_path).locked("x"):
            pass
    assert str(caught.value).endswith(f"Received: lock={str(lock)!r}")
    assert "cache_dir" in str(caught.value) and time.monotonic() - begin < 20
