"""Failures of the double on demand."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Fault:
    """A failure of the next `times` matching requests.

    Attributes:
        method: HTTP method.
        path: Regular expression, searched in the path.
        status: Status of the response; 0 processes the request.
        drop_after: Close the connection after so many bytes of the body.
        stop_after: Send so many bytes of the body, then wait until `resume` is set.
        body: Function of the body that returns its replacement.
        times: Number of requests that fail.
        headers: Headers to send with `status`.
    """

    method: str
    path: str
    status: int = 0
    drop_after: int | None = None
    stop_after: int | None = None
    body: Any = None
    times: int = 10**9
    headers: dict[str, str] = field(default_factory=dict)
    resume: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    def hits(self, method: str, path: str) -> bool:
        return (
            self.times > 0
            and method == self.method
            and re.search(self.path, path) is not None
        )


class Faults:
    """The faults that are waiting for a matching request."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            for fault in self._faults:
                fault.resume.set()
            self._faults.clear()

    def take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.hits(method, path):
                    fault.times -= 1
                    fault.reached.set()
                    return fault
        return None
