"""A real HTTP server on loopback that serves large files, with faults on demand."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Fault:
    """A fault of the next `times` requests.

    Attributes:
        status: Status of the response; 0 sends the file.
        headers: Headers added to or replacing the usual ones; `None` removes one.
        body: Function of the body that returns its replacement.
        cut_after: Close the connection after so many bytes of the body.
        stall_after: Send so many bytes of the body, then nothing until the end.
        trickle: Float, seconds between single bytes after `stall_after`.
        without_range: Ignore the `Range` header.
        keep_range: Ignore the `If-Range` header.
        times: Number of requests.
        reached: Event, set when the fault is met.
    """

    status: int = 0
    headers: dict[str, str | None] = field(default_factory=dict)
    body: Callable[[bytes], bytes] | None = None
    cut_after: int | None = None
    stall_after: int | None = None
    trickle: float = 0.0
    without_range: bool = False
    keep_range: bool = False
    times: int = 1
    reached: threading.Event = field(default_factory=threading.Event)


class FileHost:
    """The server; a context manager.

    Attributes:
        files: Path with its slash -> content.
        faults: The next faults, in this order.
        log: (path, `Range` or "", status) of every request.
        address: The address before a path.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.log: list[tuple[str, str, int]] = []
        self.requests: list[dict[str, str]] = []
        self._ended = threading.Event()
        handler = type("Handler", (_Handler,), {"host": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FileHost:
        serve = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        serve.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def next_fault(self) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0:
                fault.times -= 1
                fault.reached.set()
                return fault
        return None

    def wait(self, seconds: float) -> bool:
        return self._ended.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    host: FileHost
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        fault = self.host.next_fault() or Fault()
        asked = self.headers.get("Range") or ""
        self.host.requests.append(dict(self.headers))
        data = self.host.files.get(self.path)
        if fault.status or data is None:
            self._answer(fault.status or 404, fault, fault.headers, b"sorry")
            return
        if fault.body:
            data = fault.body(data)
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        headers: dict[str, str | None] = {"ETag": tag, "Accept-Ranges": "bytes"}
        status, begin = 200, 0
        match = re.fullmatch(r"bytes=(\d+)-", asked)
        same = fault.keep_range or self.headers.get("If-Range", tag) == tag
        if match and same and not fault.without_range:
            status, begin = 206, int(match[1])
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        self._answer(status, fault, {**headers, **fault.headers}, data[begin:])

    def _answer(
        self, status: int, fault: Fault, headers: dict[str, str | None], body: bytes
    ) -> None:
        self.host.log.append((self.path, self.headers.get("Range") or "", status))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        # Without a length the end of the connection is the end of the body.
        self.close_connection = headers.get("Content-Length", "") is None
        try:
            self._send(body, fault)
        except OSError:
            self.close_connection = True

    def _send(self, body: bytes, fault: Fault) -> None:
        end = fault.cut_after if fault.cut_after is not None else fault.stall_after
        if end is None:
            self.wfile.write(body)
            return
        self.wfile.write(body[:end])
        self.wfile.flush()
        self.close_connection = True
        if fault.stall_after is None:
            return
        while not self.host.wait(fault.trickle or 0.05):
            if fault.trickle:
                self.wfile.write(body[end : end + 1])
                self.wfile.flush()
                end += 1
