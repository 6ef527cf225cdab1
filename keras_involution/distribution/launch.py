"""Several local processes of one command, which end together."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import TextIO

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.distribution._child import Child
from keras_involution.distribution.local import visible_gpus

_LOOK_EVERY = 0.05


def launch(
    arguments: Sequence[str],
    processes: int,
    *,
    environment: Mapping[str, str] | None = None,
    gpus: bool = False,
    others_finish: bool = False,
    grace: float = 10.0,
    output: TextIO | None = None,
) -> None:
    """Starts a command several times on this host, and waits until all have ended.

    Each process finds in its environment what `Hosts.from_environment` reads. None of
    them outlives this one: they are stopped with it by Ctrl-C and SIGTERM, and on Linux
    also where it is killed by SIGKILL.

    Args:
        arguments: Sequence of strings, the command.
        processes: Integer, how many.
        environment: Dictionary of variables beside those of this process, of which
            these have the last word.
        gpus: Boolean; `True` shows each process one of the GPUs that are visible here.
        others_finish: Boolean; `True` lets the others go on when a process is killed
            by a signal, as where memory is short. One that ends with an error of its
            own stops them all the same.
        grace: Float, seconds between SIGTERM, which asks a process to end, and SIGKILL.
        output: Stream for the lines of the processes, with their numbers before them;
            `None` is standard output.

    Raises:
        ChildProcessError: If a process fails; the error says which, how, and what it
            said last.
        ValueError: If `processes` is no positive integer, the command is empty, or
            there are fewer GPUs than processes.

    Example:

    >>> import sys
    >>> from keras_involution.distribution import launch
    >>> launch([sys.executable, "-c", "print('ready')"], 1)
    [0] ready
    """
    _arguments.positive_integer(processes, "processes")
    _arguments.not_negative(grace, "grace")
    if not arguments or isinstance(arguments, str):
        raise ValueError(
            f"The command must be a list of strings. {received(arguments=arguments)}"
        )
    environments = _environments(processes, environment or {}, gpus)
    children: list[Child] = []
    with _terminated_in_order():
        try:
            for number, variables in enumerate(environments):
                stream = output or sys.stdout
                children.append(Child(number, arguments, variables, stream))
            failed = _wait(children, others_finish)
        finally:
            _stop(children, grace)
    if failed:
        raise ChildProcessError(_message(failed, arguments, processes))


def _environments(
    processes: int, more: Mapping[str, str], gpus: bool
) -> list[dict[str, str]]:
    devices = visible_gpus({**os.environ, **more}) if gpus else []
    if gpus and len(devices) < processes:
        raise ValueError(
            "There are fewer GPUs than processes; `CUDA_VISIBLE_DEVICES` says which "
            "may be used, none if it is empty. "
            + received(processes=processes, gpus=devices)
        )
    common = {**os.environ, "PYTHONUNBUFFERED": "1"}
    common["KERAS_DISTRIBUTION_JOB_ADDRESSES"] = ",".join(_free_addresses(processes))
    common["KERAS_DISTRIBUTION_NUM_PROCESSES"] = str(processes)
    own = []
    for number in range(processes):
        numbered = {
            "KERAS_DISTRIBUTION_PROCESS_ID": str(number),
            "KERAS_INVOLUTION_LOCAL_PROCESS": str(number),
        }
        device = {"CUDA_VISIBLE_DEVICES": devices[number]} if gpus else {}
        own.append({**common, **numbered, **more, **device})
    return own


def _free_addresses(count: int) -> list[str]:
    """Ports of this host that nobody listens to, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]


def _wait(children: Sequence[Child], others_finish: bool) -> list[Child]:
    """Those that have failed, as soon as one has, or when the others are done."""
    while True:
        ended = [child for child in children if child.status is not None]
        failed = [child for child in ended if child.status]
        killed = [child for child in failed if (child.status or 0) < 0]
        to_stop = failed and not (others_finish and failed == killed)
        if to_stop or len(ended) == len(children):
            return failed
        time.sleep(_LOOK_EVERY)


def _stop(children: Sequence[Child], grace: float) -> None:
    try:
        for child in children:
            child.ask_to_end()
        last = time.monotonic() + grace
        for child in children:
            child.wait(last - time.monotonic())
    finally:
        for child in children:
            child.kill()


@contextlib.contextmanager
def _terminated_in_order() -> Iterator[None]:
    """SIGTERM, where nobody else has a handler for it, ends the block as an exit."""
    free = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not free or threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _message(failed: Sequence[Child], arguments: Sequence[str], processes: int) -> str:
    parts = []
    for child in failed:
        said = textwrap.indent("\n".join(child.last_lines), "    ")
        last = f" Its last lines:\n{said}\n" if said.strip() else " It said nothing. "
        parts.append(f"Process {child.number} of {processes} {child.ending}.{last}")
    ends = received(arguments=list(arguments), processes=processes)
    return "".join(parts) + ends
