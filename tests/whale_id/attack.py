"""Attacks a server in a separate process over real sockets."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0


@dataclass
class Server:
    """A running `whale-id serve`."""

    process: subprocess.Popen
    port: int
    temporary: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def family(self) -> list[psutil.Process]:
        """The server and all processes that it started."""
        server = psutil.Process(self.process.pid)
        return [server, *server.children(recursive=True)]

    def megabytes(self) -> float:
        """Private memory of the family, with shared pages counted once."""
        total = 0.0
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
        return total / 1e6

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)


@contextlib.contextmanager
def running_server(
    model: Path, database: Path, *options: str, **environment: str
) -> Iterator[Server]:
    """Starts a server; afterwards it and all its children have ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "keras_involution.whale_id.cli", "serve"]
    command += [str(model), str(database), "--port", str(port), *options]
    temporary = tempfile.TemporaryDirectory()
    given = {"PYTHONPATH": str(ROOT), "TMPDIR": temporary.name, **environment}
    process = subprocess.Popen(
        command,
        env={**os.environ, **given},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Server(process, port, Path(temporary.name))
    family: list[psutil.Process] = []
    try:
        wait_until(lambda: _answers(server), PATIENCE)
        family = server.family()[1:]
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in psutil.wait_procs(family, timeout=10)[1]:
            child.kill()
        temporary.cleanup()


def _answers(server: Server) -> bool:
    assert server.process.poll() is None, "The server ended before it answered."
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{server.address}/health", timeout=5).status_code == 200
    return False


def wait_until(condition, seconds: float) -> None:
    """Waits until a condition is true; raises `TimeoutError` if it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(condition)
        time.sleep(0.05)


def jpeg(seed: int = 0, side: int = 300) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), "uint8")
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def bomb() -> bytes:
    """A PNG image of a few hundred kilobytes that takes more than 1 GB to decode."""
    file = io.BytesIO()
    Image.new("RGBA", (7680, 7680)).save(file, "PNG")
    return file.getvalue()


def many_scans(scans: int = 3000) -> bytes:
    """A small progressive JPEG that repeats its last scan."""
    file = io.BytesIO()
    Image.new("RGB", (2000, 2000), "gray").save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + b"\xff\xd9"


@dataclass
class Outcome:
    """The results of the clients of a server."""

    health: list[float] = field(default_factory=list)
    answers: int = 0
    retries: int = 0
    lost: list[str] = field(default_factory=list)
    bombs: list[int] = field(default_factory=list)
    megabytes: float = 0.0


def attack(
    server: Server,
    *,
    seconds: float,
    clients: int = 64,
    half_open: int = 1000,
    slow: int = 50,
    photos: Sequence[bytes] = (),
) -> Outcome:
    """Runs clients while others hold connections, send slowly and send bombs."""
    outcome, until = Outcome(), time.monotonic() + seconds
    shown = list(photos) or [jpeg()]
    targets = [
        lambda n=n: _client(server, shown[n % len(shown)], until, outcome)
        for n in range(clients)
    ]
    targets += [lambda: _hold(server, half_open, until)]
    targets += [lambda: _dawdle(server, slow, until)]
    targets += [lambda: _bombs(server, until, outcome)]
    targets += [lambda: _look(server, until, outcome)]
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


def _client(server: Server, photo: bytes, until: float, outcome: Outcome) -> None:
    with httpx.Client(base_url=server.address, timeout=PATIENCE) as session:
        while time.monotonic() < until:
            files = {"images[]": ("photo.jpg", photo)}
            try:
                response = session.post("/match", files=files)
                while response.status_code == 503:
                    outcome.retries += 1
                    time.sleep(0.5)
                    response = session.post("/match", files=files)
                assert response.json()["matches"], response.text
                outcome.answers += 1
            except Exception as error:
                outcome.lost.append(repr(error))


def _hold(server: Server, number: int, until: float) -> None:
    """Holds connections with half a header, and reopens them when they are closed."""
    held: list[socket.socket] = []
    try:
        while time.monotonic() < until:
            while len(held) < number and time.monotonic() < until:
                with contextlib.suppress(OSError):
                    client = server.connect()
                    client.sendall(b"POST /match HTTP/1.1\r\nHost: local")
                    held.append(client)
            time.sleep(1)
            for client in held[: number // 4]:
                client.close()
            held = held[number // 4 :]
    finally:
        for client in held:
            client.close()


def _dawdle(server: Server, number: int, until: float) -> None:
    """Uploads one byte per second."""
    head = (
        b"POST /match HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    )
    clients = []
    for _ in range(number):
        client = server.connect()
        client.sendall(head)
        clients.append(client)
    while time.monotonic() < until:
        for client in clients:
            with contextlib.suppress(OSError):
                client.sendall(b"x")
        time.sleep(1)
    for client in clients:
        client.close()


def _bombs(server: Server, until: float, outcome: Outcome) -> None:
    files = [bomb(), many_scans()]
    while time.monotonic() < until:
        for data in files:
            upload = {"images[]": ("bomb", data)}
            with contextlib.suppress(httpx.HTTPError):
                response = httpx.post(
                    f"{server.address}/match", files=upload, timeout=PATIENCE
                )
                outcome.bombs.append(response.status_code)


# A separate process, since a thread would wait for those of the clients.
_PROBE = """
import socket, sys, time
port, until = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"GET /health HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
        answer = client.recv(15)
    print(time.monotonic() - begun, answer == b"HTTP/1.1 200 OK", flush=True)
    time.sleep(0.3)
"""


def _look(server: Server, until: float, outcome: Outcome) -> None:
    """Measures the time of health checks, over new connections, and the memory."""
    seconds = until - time.monotonic()
    command = [sys.executable, "-S", "-c", _PROBE, str(server.port), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as probe:
        assert probe.stdout is not None
        for line in probe.stdout:
            took, is_ok = line.split()
            outcome.health.append(float(took))
            if is_ok != "True":
                outcome.lost.append("health")
            if len(outcome.health) % 5 == 1:
                outcome.megabytes = max(outcome.megabytes, server.megabytes())
    if probe.returncode != 0:
        outcome.lost.append("health: the probe was refused")
