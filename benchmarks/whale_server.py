"""Measures the identification server with several concurrent clients.

Starts `whale-id serve` in its own process, with RedNet-26 at 224 pixels, random weights
and a database of 10,000 embeddings of 2,000 animals. Each client sends a photo over
HTTP, waits for the response and sends the next one. It takes about a minute.

    KERAS_BACKEND=torch python -m benchmarks.whale_server PHOTO.jpg

With `--attack 120`, 64 clients send requests for two minutes. At the same time, 1,000
connections stay half open, 50 uploads send one byte per second, and decompression bombs
arrive. Expect no lost request, `GET /health` below a second over new connections, and
bounded memory of all processes.

    KERAS_BACKEND=torch python -m benchmarks.whale_server PHOTO.jpg --attack 120
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pandas as pd

from benchmarks._measure import report
from tests.whale_id import attack

PHOTOS, ANIMALS = 10_000, 2_000
COLUMNS = (
    "clients", "requests", "median, ms", "95 %, ms", "worst, ms", "photos/s",
    "in a batch", "refused", "MB",
)  # fmt: skip
ATTACKED = (
    "clients", "seconds", "answers", "retries", "lost", "health, median ms",
    "health, worst ms", "bombs", "MB",
)  # fmt: skip


def write_server_files(folder: Path) -> tuple[Path, Path]:
    """Writes a random network and a random database for `whale-id serve`."""
    from keras_involution.whale_id import Embeddings
    from keras_involution.whale_id.model import EmbeddingNetwork, build_backbone

    network = EmbeddingNetwork(build_backbone("rednet_26", (224, 224, 3)))
    network.save(folder / "model.keras")
    names = [f"{n}" for n in range(PHOTOS)]
    animals = [f"animal {n % ANIMALS}" for n in range(PHOTOS)]
    table = pd.DataFrame({"image_id": names, "identity": animals, "path": names})
    size = (PHOTOS, network.output_shape[-1])
    features = np.random.default_rng(0).standard_normal(size, "float32")
    Embeddings(features, table).save(folder / "animals.npz")
    return folder / "model.keras", folder / "animals.npz"


def ask(address: str, photo: bytes, clients: int, seconds: float) -> report.Row:
    """Measures the requests of `clients` clients, one after the other for each."""
    times: list[float] = []
    refused: list[int] = []
    until = time.perf_counter() + seconds

    def client() -> None:
        with httpx.Client(base_url=address, timeout=60) as session:
            while time.perf_counter() < until:
                begun = time.perf_counter()
                files = {"images[]": ("photo.jpg", photo)}
                answer = session.post("/match", files=files)
                if answer.status_code == 503:
                    refused.append(answer.status_code)
                    continue
                assert len(answer.raise_for_status().json()["matches"]) == 10
                times.append(1000 * (time.perf_counter() - begun))

    before, begun = metrics(address), time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, after = time.perf_counter() - begun, metrics(address)
    names = ("batched_photos_total", "batches_total")
    photos, batches = (after[n] - before.get(n, 0) for n in names)
    return {
        "clients": clients,
        "requests": len(times),
        "median, ms": float(np.median(times)),
        "95 %, ms": float(np.quantile(times, 0.95)),
        "worst, ms": max(times),
        "photos/s": len(times) / took,
        "in a batch": photos / batches,
        "refused": len(refused),
    }


def metrics(address: str) -> dict[str, float]:
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if line[:1] != "#"]
    return {name.removeprefix("whale_id_"): float(value) for name, value in pairs}


def under_attack(server: attack.Server, seconds: float, photo: bytes) -> report.Row:
    """Measures the requests of 64 clients during the attack."""
    seen = attack.attack(server, seconds=seconds, photos=[photo])
    for reason in seen.lost[:5]:
        print(f"lost: {reason}", file=sys.stderr)
    return {
        "clients": 64,
        "seconds": seconds,
        "answers": seen.answers,
        "retries": seen.retries,
        "lost": len(seen.lost),
        "health, median ms": 1000 * float(np.median(seen.health)),
        "health, worst ms": 1000 * max(seen.health),
        "bombs": len(seen.bombs),
        "MB": seen.megabytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--clients", nargs="*", type=int, default=(1, 4, 16))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--attack", type=float, metavar="SECONDS")
    parser.add_argument("--output", type=Path, help="folder for the JSON file")
    arguments = parser.parse_args()
    from benchmarks._measure import devices
    from keras_involution._measure import machine

    head = machine.describe(devices.open_device("cpu"))
    report.print_head(head)
    photo = arguments.photo.read_bytes()
    rows, columns = [], ATTACKED if arguments.attack else COLUMNS
    with (
        tempfile.TemporaryDirectory() as folder,
        attack.running_server(*write_server_files(Path(folder))) as server,
    ):
        if arguments.attack:
            rows.append(under_attack(server, arguments.attack, photo))
        else:
            for clients in arguments.clients:
                row = ask(server.address, photo, clients, arguments.seconds)
                rows.append(row | {"MB": server.megabytes()})
    print(report.table(rows, columns))
    if arguments.output:
        name = f"whale_server_{os.environ.get('KERAS_BACKEND', 'tensorflow')}.json"
        report.write_json(arguments.output / name, head, rows)


if __name__ == "__main__":
    main()
