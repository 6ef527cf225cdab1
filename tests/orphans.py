"""Kills a parent of worker processes at random times and checks for orphans.

    python -m tests.orphans --times 200

Each time, a parent with two workers receives SIGTERM, SIGINT or SIGKILL, between the
first line of its program and the middle of its work, while two busy loops per core
compete with it. Five seconds later, none of its processes may be running. This takes
about five minutes on two cores, prints how often each signal was sent, and exits with
status 0.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "keras_involution"
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
PATIENCE = 5.0
# Only these modules: importing Keras takes seconds and is not needed here.
PARENT = f"""
print(flush=True)
import importlib.util, sys, types

def load(name, path):
    for end in [i for i, c in enumerate(name) if c == "."]:
        sys.modules.setdefault(name[:end], types.ModuleType(name[:end]))
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

load("keras_involution.distribution.bound", {str(PACKAGE / "distribution/bound.py")!r})
workers = load("workers", {str(PACKAGE / "whale_id/embeddings/workers.py")!r})
work = "import subprocess, sys, time\\n"
work += "mine = subprocess.Popen([sys.executable, '-S', '-c', 'input()'], stdin=-1)\\n"
work += "for line in sys.stdin: time.sleep(0.02); print('done', flush=True)"
command = [sys.executable, "-I", "-S", "-c", work]
workers.run_workers(command, [{{}}, {{}}], list(range(1000)))
"""


def survivors(token: str) -> list[int]:
    """The running processes with `token` in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if token.encode() not in (folder / "environ").read_bytes():
                continue
            state = (folder / "stat").read_text("utf-8").rpartition(")")[2].split()[0]
            if state != "Z":  # It has ended but was not waited for.
                found.append(int(folder.name))
    return found


def interrupt(number: int, delay: float) -> None:
    """Starts a parent and sends it a signal after `delay` seconds.

    Raises:
        AssertionError: If one of its processes survives.
    """
    token = secrets.token_hex(16)
    # Background processes of a shell ignore SIGINT, and so do their children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    parent = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", PARENT],
        env={**os.environ, "ORPHANS": token},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    signal.signal(signal.SIGINT, before)
    # While Python starts, before the first line, a SIGINT can be lost.
    assert parent.stdout is not None
    parent.stdout.readline()
    time.sleep(delay)
    parent.send_signal(number)
    last = time.monotonic() + PATIENCE
    while (alive := survivors(token)) and time.monotonic() < last:
        parent.poll()
        time.sleep(0.02)
    for survivor in alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(survivor, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert not alive, f"{len(alive)} survive {signal.Signals(number).name} at {delay:g}"


@contextlib.contextmanager
def load(loops: int) -> Iterator[None]:
    """Runs busy loops in other processes during the block."""
    busy = [
        subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])
        for _ in range(loops)
    ]
    try:
        yield
    finally:
        for loop in busy:
            loop.kill()
            loop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    generator = random.Random(given.seed)
    sent: collections.Counter[str] = collections.Counter()
    start = time.monotonic()
    with load(2 * len(os.sched_getaffinity(0))):
        for _ in range(given.times):
            number = generator.choice(SIGNALS)
            interrupt(number, generator.uniform(0.0, 0.8))
            sent[number.name] += 1
    seconds = time.monotonic() - start
    print(f"{given.times} times, {dict(sent)}, no survivor, {seconds:.0f} s")


if __name__ == "__main__":
    main()
