"""The server as a separate process: time, memory, signals, children, reload."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import struct
import time

import httpx
import psutil
import pytest

from keras_involution.data.decoder_process import read_message
from keras_involution.data.decoders import Decoders, _most_bytes
from keras_involution.data.images import ImageError
from keras_involution.whale_id import embed
from keras_involution.whale_id.assemble import build_network
from keras_involution.whale_id.serve import Limits
from keras_involution.whale_id.serve.gate import Gate
from tests.marks import one_backend
from tests.whale_id.animals import animals
from tests.whale_id.attack import (
    Server,
    attack,
    bomb,
    jpeg,
    many_scans,
    running_server,
    wait_until,
)
from tests.whale_id.settings import one_stage

pytestmark = [
    one_backend,
    pytest.mark.skipif(os.name != "posix", reason="needs signals and limits of POSIX"),
]

OPTIONS = (
    "--header-seconds", "1.5", "--stall-seconds", "1", "--body-seconds", "3",
    "--keep-alive-seconds", "2", "--shutdown-seconds", "2", "--max-connections", "60",
    "--decode-seconds", "2", "--decode-megabytes", "300", "--reload",
)  # fmt: skip
HEAD = b"POST /match HTTP/1.1\r\nHost: localhost\r\n"
UPLOAD = (
    b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9999\r\n\r\n"
)

PART = b'--b\r\nContent-Disposition: form-data; name="images[]"; filename="a"\r\n\r\n'


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    (folder / "images").mkdir()
    network = build_network(one_stage())
    network.save(folder / "model.keras")
    found, _ = embed(network, animals(folder / "images", identities=3, each=2))
    found.save(folder / "animals.npz")
    found.rows(range(4)).save(folder / "fewer.npz")
    return folder


@pytest.fixture(scope="module")
def server(files):
    with running_server(
        files / "model.keras", files / "animals.npz", *OPTIONS
    ) as server:
        yield server


def seconds_until_cut(client: socket.socket) -> float:
    """Seconds until the server closes a connection, after reading its response."""
    begun = time.monotonic()
    client.settimeout(30)
    try:
        while client.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - begun


@pytest.mark.parametrize(
    "begin",
    [b"", b"GET / HT", HEAD, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"],
)
def test_silent_connections_are_cut(server, begin):
    with server.connect() as client:
        client.sendall(begin)
        assert 1 < seconds_until_cut(client) < 10


def test_a_header_that_grows_byte_by_byte_is_cut(server):
    with server.connect() as client:
        client.sendall(HEAD)
        begun = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() < begun + 20:
                client.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize("pause", [0.3, 9.0], ids=["drop by drop", "stalled"])
def test_a_body_that_is_too_slow_is_refused(server, pause):
    with server.connect() as client:
        client.sendall(HEAD + UPLOAD + PART)
        client.settimeout(pause)
        begun, answer = time.monotonic(), b""
        while not answer and time.monotonic() < begun + 15:
            try:
                answer = client.recv(100)
            except TimeoutError:
                client.sendall(b"x")
        assert b" 408 " in answer.split(b"\r\n")[0]


def measured(server, name: str) -> float:
    """A metric of the server; 0 if it does not exist yet."""
    lines = httpx.get(f"{server.address}/metrics", timeout=30).text.splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if line[0] != "#")
    return float(found.get(f"whale_id_{name}", 0))


def test_silent_connections_do_not_keep_others_out(server):
    name = 'dropped_connections_total{limit="connections"}'
    before = measured(server, name)
    held = [server.connect() for _ in range(90)]
    try:
        for _ in range(5):
            assert httpx.get(f"{server.address}/health").status_code == 200
        assert measured(server, "connections") <= 60
        assert measured(server, name) - before >= 30
    finally:
        for client in held:
            client.close()


def test_a_response_that_nobody_reads_is_cut(server):
    name = 'dropped_connections_total{limit="stall_seconds"}'
    before = measured(server, name)
    with server.connect() as client:
        client.settimeout(1)
        # More than the system buffers for a client that does not read.
        with contextlib.suppress(OSError):
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5000)
        wait_until(lambda: measured(server, name) > before, 30)


@pytest.mark.parametrize(
    "host, status",
    [
        ("localhost", 200), ("localhost:99", 200), ("127.0.0.1", 200), ("[::1]:9", 200),
        ("evil.example", 400), ("localhost.evil.example", 400), ("", 400),
    ],
)  # fmt: skip
def test_other_hosts_are_refused(server, host, status):
    headers = {"Host": host}
    response = httpx.get(f"{server.address}/health", headers=headers)
    assert response.status_code == status


def test_names_that_are_allowed():
    gate = Gate(None, Limits(), hosts=["whales.example"])
    assert gate.is_allowed("Whales.Example:443") and not gate.is_allowed("example")
    assert Gate(None, Limits(), hosts=["*"]).is_allowed("anything")


@pytest.mark.parametrize("make", [bomb, many_scans])
def test_bombs_are_refused_and_the_server_goes_on(server, make):
    data = make()
    assert len(data) < 400_000
    begun = time.monotonic()
    response = httpx.post(
        f"{server.address}/match", files={"images[]": ("b", data)}, timeout=60
    )
    assert response.status_code == 422 and time.monotonic() - begun < 30
    ok = httpx.post(
        f"{server.address}/match", files={"images[]": ("p", jpeg())}, timeout=60
    )
    assert ok.status_code == 200


def test_a_decoder_that_takes_too_long_is_replaced(monkeypatch):
    monkeypatch.setattr("keras_involution.data.decoders._MOST_SCANS", 10**9)
    # Only the limit of CPU time can end it.
    monkeypatch.setattr("keras_involution.data.decoders._WALL_PER_CPU_SECOND", 1000)
    decoders = Decoders(workers=1, seconds=1)
    try:
        with pytest.raises(ImageError, match="more than 1 seconds of a processor"):
            decoders.decode(many_scans(20_000), (32, 32))
        assert decoders.decode(jpeg(), (32, 32)).shape == (32, 32, 3)
    finally:
        decoders.close()


def test_an_answer_that_claims_more_bytes_than_pixels_is_not_read():
    answer = io.BytesIO(struct.pack("<Q", 2**62) + b"D")
    with pytest.raises(EOFError):
        read_message(answer, _most_bytes([32, 32], 10**6))
    assert answer.tell() == 8


def test_under_attack(server):
    seen = attack(server, seconds=6, clients=6, half_open=100, slow=10)
    assert not seen.lost and seen.answers > 6
    assert max(seen.health) < 5 and seen.megabytes < 3000
    assert set(seen.bombs) <= {422, 503}


def test_a_changed_collection_is_taken_without_a_restart(server, files):
    def photos() -> int:
        return httpx.get(f"{server.address}/health").json()["photos"]

    assert photos() == 6
    kept = files / "kept.npz"
    shutil.copy(files / "animals.npz", kept)
    os.replace(files / "fewer.npz", files / "animals.npz")
    wait_until(lambda: photos() == 4, 30)
    (files / "animals.npz").write_bytes(b"damaged")
    time.sleep(3)
    assert photos() == 4
    os.replace(kept, files / "animals.npz")
    wait_until(lambda: photos() == 6, 30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_in_time_and_leaves_no_process(files, number):
    paths = (files / "model.keras", files / "animals.npz")
    # No other limit must end the upload.
    slow = ("--body-seconds", "60", "--stall-seconds", "60")
    with running_server(*paths, *OPTIONS, *slow) as server:
        children = server.family()[1:]
        assert len(children) == 2, "the decoders are processes"
        dawdling = slow_upload(server)
        begun = time.monotonic()
        server.process.send_signal(number)
        status = server.process.wait(timeout=30)
        assert time.monotonic() - begun < 15
        assert status == (143 if number == signal.SIGTERM else -number)
        dawdling.close()
        # A process that has ended may still wait to be reaped by init.
        wait_until(lambda: not any(map(lives, children)), 5)
        if number == signal.SIGTERM:
            assert list(server.temporary.iterdir()) == []


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def slow_upload(server: Server) -> socket.socket:
    client = server.connect()
    client.sendall(HEAD + UPLOAD)
    return client
