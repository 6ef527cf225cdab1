"""Worker processes on this host, which end with the process that starts them.

A worker reads one task per line from its standard input, and writes one line to its
standard output when the task is finished. It exits at the end of its input.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from keras_involution.distribution.bound import bound_command

_LOOK_EVERY = 0.05  # seconds between two checks of the workers
_LAST_SECONDS = 5.0  # for processes that a signal cannot end, such as on a hanging disk


def run_workers(
    command: Sequence[str],
    environments: Sequence[Mapping[str, str]],
    tasks: Sequence[Any],
    on_done: Callable[[Any], None] = lambda task: None,
) -> None:
    """Distributes tasks among several processes of one command.

    If a worker is killed, only its task is lost; the others finish their tasks. If a
    worker fails, all stop. Ctrl-C, SIGTERM and every error end all workers; on Linux
    they also end if the parent is killed.

    Args:
        command: Sequence of strings.
        environments: Sequence of dictionaries, one for each worker: variables in
            addition to the environment of this process.
        tasks: Sequence of JSON values.
        on_done: Function that is called with every finished task.

    Raises:
        ChildProcessError: If a worker has failed or was killed.
    """
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    workers: list[_Worker] = []
    with _signals_kept() as asked_to_end:
        try:
            for number, environment in enumerate(environments):
                workers.append(_Worker(number, command, environment, waiting, on_done))
                _end_if(asked_to_end)
            while any(worker.thread.is_alive() for worker in workers):
                _end_if(asked_to_end)
                if any(worker.has_failed for worker in workers):
                    break
                for worker in workers:
                    worker.thread.join(_LOOK_EVERY / len(workers))
        finally:
            for worker in workers:
                worker.kill()
    _end_if(asked_to_end)
    for worker in workers:
        if worker.error is not None:
            raise worker.error
    ends = [worker.how_it_ended() for worker in workers if worker.status != 0]
    if ends or not waiting.empty():
        raise ChildProcessError(" ".join(ends) or "A task was not taken.")


class _Worker:
    """A process in its own group, and the thread that sends it tasks."""

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        waiting: queue.SimpleQueue[Any],
        on_done: Callable[[Any], None],
    ) -> None:
        self.number, self._waiting, self._on_done = number, waiting, on_done
        self.status: int | None = None
        self.error: Exception | None = None
        self._process = subprocess.Popen(
            bound_command(list(command)),
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C reaches only the parent.
        )
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    @property
    def has_failed(self) -> bool:
        status = self._process.poll()
        return self.error is not None or (status is not None and status > 0)

    def _work(self) -> None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            while True:
                task = self._waiting.get_nowait()
                process.stdin.write(json.dumps(task) + "\n")
                process.stdin.flush()
                if not process.stdout.readline() or not self._told(task):
                    break
        except (queue.Empty, OSError):
            pass  # no tasks are left, or the process has ended
        with contextlib.suppress(OSError):
            process.stdin.close()
        self.status = process.wait()

    def _told(self, task: Any) -> bool:
        try:
            self._on_done(task)
        except Exception as error:  # raised again in the main thread
            self.error = error
        return self.error is None

    def kill(self) -> None:
        """Ends the process and its children, if it is still running."""
        if self.status is None:
            self._send_kill()
        self.thread.join(_LAST_SECONDS)
        self.status = self._process.poll()
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdout.close()

    def _send_kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def how_it_ended(self) -> str:
        if self.status is None or self.status >= 0:
            return f"Worker {self.number} ended with status {self.status}."
        with contextlib.suppress(ValueError):
            name = signal.Signals(-self.status).name
            return f"Worker {self.number} was killed by {name}."
        return f"Worker {self.number} was killed by signal {-self.status}."


@contextlib.contextmanager
def _signals_kept() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM while processes are started.

    An exception between the fork and the assignment of the new process would leave the
    process running.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {
        number: signal.signal(number, lambda n, frame: received.append(n))
        for number in numbers
    }
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_if(asked: Sequence[int]) -> None:
    if not asked:
        return
    if asked[0] == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + asked[0])
