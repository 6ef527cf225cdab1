"""One process of several that were started together."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

_LAST_LINES = 12
# For what a signal cannot end, such as a disk that does not answer.
_LAST_SECONDS = 5.0
_WRITING = threading.Lock()


class Child:
    """A process in a group of its own, whose lines are passed on with its number.

    Args:
        number: Integer.
        command: Sequence of strings.
        environment: Dictionary, all of its environment.
        output: Stream for its lines.
    """

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        output: TextIO,
    ) -> None:
        self.number = number
        self.last_lines: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
        self._output = output
        self._process = subprocess.Popen(
            _bound(command),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches the parent alone.
        )
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()
        self._over = False

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; `None` while it runs."""
        status = self._process.poll()
        if status is not None and not self._over:
            # At once: later its number may be that of another process.
            self._over = True
            self._send("kill")
        return status

    @property
    def ending(self) -> str:
        """How it has ended, in words."""
        status = self.status
        if status is None or status >= 0:
            return f"ended with status {status}"
        try:
            return f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"was killed by signal {-status}"

    def ask_to_end(self) -> None:
        if self.status is None:
            self._send("terminate")

    def kill(self) -> None:
        """Ends it and what it has started, and waits for its last lines."""
        if self.status is None:
            self._send("kill")
        self.wait(_LAST_SECONDS)
        # A process that has left the group may still hold the pipe.
        self._reader.join(_LAST_SECONDS)

    def wait(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, seconds))

    def _send(self, how: str) -> None:
        if os.name != "posix":
            getattr(self._process, how)()
            return
        number = signal.SIGKILL if how == "kill" else signal.SIGTERM
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _pass_on(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.last_lines.append(line.rstrip("\n"))
                # Where nobody reads any more, the process must not wait for a reader.
                with _WRITING, contextlib.suppress(OSError, ValueError):
                    self._output.write(f"[{self.number}] {self.last_lines[-1]}\n")
                    self._output.flush()


def _bound(command: Sequence[str]) -> list[str]:
    """The command so that it ends when this process does, in whatever way."""
    if not sys.platform.startswith("linux"):
        return list(command)
    script = str(Path(__file__).with_name("_bound.py"))
    return [sys.executable, "-I", "-S", script, str(os.getpid()), *command]
