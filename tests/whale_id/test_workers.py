"""Worker processes: tasks, failures, signals, and no orphans."""

from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

from keras_involution.whale_id.embeddings import table as tables
from keras_involution.whale_id.embeddings.workers import run_workers
from tests import orphans
from tests.marks import one_backend

pytestmark = [
    one_backend,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="reads /proc; prctl is Linux's"
    ),
]
HEAD = """
import os, signal, sys, time
for line in sys.stdin:
    task = int(line)
"""
DONE = "    print('done', flush=True)"


def program(body: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", HEAD + body + "\n" + DONE]


@pytest.fixture(autouse=True)
def nobody_left(monkeypatch):
    monkeypatch.setenv("ORPHANS", "token-of-this-test")
    yield
    mine = {os.getpid(), os.getppid()}
    assert not set(orphans.survivors("ORPHANS=token-of-this-test")) - mine


def test_every_task_is_done_once_by_workers_that_know_their_place():
    done = []
    body = "    assert os.environ['PLACE'] in '01'"
    environments = [{"PLACE": "0"}, {"PLACE": "1"}]
    run_workers(program(body), environments, list(range(20)), done.append)
    assert sorted(done) == list(range(20))


def test_a_killed_worker_loses_its_task_alone():
    done = []
    body = (
        "    if task == 3: os.kill(os.getpid(), signal.SIGKILL)\n    time.sleep(0.02)"
    )
    with pytest.raises(ChildProcessError, match=r"Worker [01] was killed by SIGKILL\."):
        run_workers(program(body), [{}, {}], list(range(10)), done.append)
    assert sorted(done) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_a_worker_that_fails_stops_all():
    done = []
    body = "    if task == 1: sys.exit(3)\n    time.sleep(0.05)"
    with pytest.raises(ChildProcessError, match="ended with status 3"):
        run_workers(program(body), [{}, {}], list(range(2000)), done.append)
    assert len(done) < 1000


def test_an_error_of_the_parent_ends_all():
    def fail(task):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        run_workers(program(""), [{}, {}], [1, 2, 3], fail)


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
)
def test_a_signal_ends_all_and_handlers_come_back(number, error):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
    timer.start()
    with pytest.raises(error):
        run_workers(program("    time.sleep(60)"), [{}, {}], [1, 2])
    timer.join()
    assert before == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("number", orphans.SIGNALS, ids=lambda n: n.name)
def test_no_moment_of_being_killed_leaves_anybody_behind(number):
    """Tests a few moments; `python -m tests.orphans` tests two hundred under load."""
    for delay in (0.02, 0.1, 0.25):
        orphans.interrupt(number, delay)


def test_how_many_workers_auto_is(monkeypatch):
    monkeypatch.setattr(tables, "available_cores", lambda: 9)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert tables.number_of_workers("auto") == 4
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert tables.number_of_workers("auto") == 2
    assert tables._environments(2)[1] == {"CUDA_VISIBLE_DEVICES": "6"}
    with pytest.raises(ValueError, match=r"fewer GPUs.*Received: devices=3"):
        tables._environments(3)
    with pytest.raises(ValueError, match="Received: devices=0"):
        tables.number_of_workers(0)
