"""Processes that are started together end together, whatever ends one of them."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_involution.distribution import Hosts, _child, launch
from keras_involution.distribution.local import parted_threads, visible_gpus
from tests.marks import one_backend

pytestmark = [
    one_backend,
    pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems"),
]
HEAD = """
import os, signal, subprocess, sys, time
number = int(os.environ["KERAS_DISTRIBUTION_PROCESS_ID"])
print("pid", os.getpid(), flush=True)
"""
SLEEP = "time.sleep(60)"


def program(body: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", HEAD + body]


def runs(process: int) -> bool:
    """Whether it runs; one that has ended and was not waited for does not."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text("utf-8")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def assert_all_gone(output: str, count: int) -> None:
    processes = [int(number) for number in re.findall(r"pid (\d+)", output)]
    assert len(processes) == count, output
    last = time.monotonic() + 5
    while any(map(runs, processes)):
        assert time.monotonic() < last, [p for p in processes if runs(p)]
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def in_seconds():
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 30, "a process was waited for to its end"


def test_every_process_knows_its_place_and_has_its_prefix():
    output = io.StringIO()
    body = """
for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"):
    print(f"KERAS_DISTRIBUTION_{name}", os.environ[f"KERAS_DISTRIBUTION_{name}"])
print("KERAS_INVOLUTION_LOCAL_PROCESS", os.environ["KERAS_INVOLUTION_LOCAL_PROCESS"])
print("COLOUR", os.environ["COLOUR"], file=sys.stderr)
"""
    launch(program(body), 2, environment={"COLOUR": "grey"}, output=output)
    seen = []
    for number in (0, 1):
        lines = re.findall(rf"^\[{number}\] (\w+) (\S+)$", output.getvalue(), re.M)
        found = dict(lines)
        assert found["COLOUR"] == "grey"
        hosts = Hosts.from_environment(found)
        assert (hosts.process, hosts.local_process, hosts.processes) == (
            number, number, 2
        )  # fmt: skip
        seen.append(hosts.addresses)
    assert seen[0] == seen[1] and len(set(seen[0])) == 2


def test_a_killed_process_ends_the_others_and_is_named():
    output = io.StringIO()
    body = f"""
if number == 1:
    mine = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; {SLEEP}"])
    print("pid", mine.pid, "of mine", flush=True)
    print("my last words", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
{SLEEP}
"""
    with pytest.raises(ChildProcessError) as caught:
        launch(program(body), 3, output=output)
    message = str(caught.value)
    assert message.startswith("Process 1 of 3 was killed by SIGKILL. Its last lines:")
    assert "    my last words\nReceived: arguments=[" in message
    # All three may not have come to their first line.
    assert_all_gone(output.getvalue(), output.getvalue().count("pid "))
    assert "of mine" in output.getvalue()


def test_who_does_not_heed_sigterm_is_killed():
    output = io.StringIO()
    body = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while number == 0:
    time.sleep(1)
time.sleep(2)
sys.exit(3)
"""
    with pytest.raises(ChildProcessError, match="1 of 2 ended with status 3"):
        launch(program(body), 2, grace=0.2, output=output)
    assert_all_gone(output.getvalue(), 2)


def test_the_others_may_finish_when_one_is_killed():
    output = io.StringIO()
    body = """
if number == 0:
    os.kill(os.getpid(), signal.SIGTERM)
time.sleep(1)
print("finished")
"""
    with pytest.raises(ChildProcessError, match="0 of 2 was killed by SIGTERM"):
        launch(program(body), 2, others_finish=True, output=output)
    assert "[1] finished" in output.getvalue()
    body = f"sys.exit('wrong table') if number == 0 else {SLEEP}"
    with pytest.raises(ChildProcessError, match=r"status 1\.[^.]*\n    wrong table\n"):
        launch(program(body), 2, others_finish=True)


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
    ids=["SIGINT", "SIGTERM"],
)
def test_an_interrupted_parent_ends_all(number, error):
    class Interrupting(io.StringIO):
        def write(self, text: str) -> int:
            written = super().write(text)
            if self.getvalue().count("pid") == 2:
                os.kill(os.getpid(), number)
            return written

    output = Interrupting()
    before = signal.getsignal(signal.SIGTERM)
    # A shell starts what it puts into the background deaf to SIGINT.
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(error):
            launch(program(SLEEP), 2, output=output)
    finally:
        signal.signal(signal.SIGINT, found)
    assert_all_gone(output.getvalue(), 2)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's")
def test_a_killed_parent_leaves_nobody_behind():
    code = f"""
import os, sys, time
sys.path.insert(0, {str(Path(_child.__file__).parent)!r})
from _child import Child  # by itself, since Keras takes seconds
both = [Child(n, {program(SLEEP)}, os.environ | NUMBER, sys.stdout) for n in (0, 1)]
time.sleep(60)
"""
    code = code.replace("NUMBER", "{'KERAS_DISTRIBUTION_PROCESS_ID': '0'}")
    parent = subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    output = parent.stdout.readline() + parent.stdout.readline()
    parent.kill()
    parent.communicate()
    assert_all_gone(output, 2)


def test_gpus_are_parted(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7,-1,2")
    assert visible_gpus() == ["3", "5", "7"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == []
    output = io.StringIO()
    body = "print('sees', os.environ['CUDA_VISIBLE_DEVICES'])"
    launch(program(body), 2, gpus=True, output=output)
    assert "[0] sees 3\n" in output.getvalue()
    assert "[1] sees 5\n" in output.getvalue()
    with pytest.raises(ValueError, match=r"Received: processes=4, gpus=\['3'"):
        launch(program(body), 4, gpus=True)


def test_threads_are_parted(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setenv("NPROC", "5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert parted_threads(3)[
        "OMP_NUM_THREADS"
    ] == "2" and "NPROC" not in parted_threads(3)
    assert parted_threads(20)["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    ("arguments", "processes", "words"),
    [
        ([], 1, "arguments=\\[\\]"),
        ("ls", 1, "arguments='ls'"),
        (["ls"], 0, "processes=0"),
    ],
)
def test_what_cannot_be_launched(arguments, processes, words):
    with pytest.raises(ValueError, match=f"Received: {words}"):
        launch(arguments, processes)


def test_a_command_that_is_none():
    with pytest.raises(OSError, match=r"no_such_command cannot be run|No such file"):
        launch(["no_such_command"], 1)
