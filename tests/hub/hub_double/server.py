"""The HTTP side of the double: requests in, replies out."""

from __future__ import annotations

import functools
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.hub_double import routes
from tests.hub.hub_double.faults import Fault, Faults
from tests.hub.hub_double.repositories import Repository, StoredFile


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    body: bytes
    token: str
    range: str

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)


class HubDouble:
    """The server; a context manager.

    Attributes:
        endpoint: The value of `HF_ENDPOINT`.
        users: Dictionary of token -> name of the user.
        repositories: Id "user/name" -> repository.
        faults: The pending faults.
        log: (method, path, status) of every request.
        leaks: Paths of requests with a token that must not have one.
    """

    def __init__(self) -> None:
        self.users = {"hf_owner": "owner", "hf_other": "other"}
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.faults = Faults()
        self.log: list[tuple[str, str, int]] = []
        self.leaks: list[str] = []
        self.lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        port = self._server.server_port
        self.endpoint = f"http://127.0.0.1:{port}"
        # Large files are redirected to another host name, as on the Hub.
        self.store = f"http://localhost:{port}"

    def __enter__(self) -> HubDouble:
        # The interval at which the server checks for shutdown; the default is 0.5 s.
        serve = functools.partial(self._server.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.faults.clear()
        self._server.shutdown()
        self._server.server_close()

    def add(self, repo_id: str, files: dict[str, bytes], private: bool = False) -> None:
        """Adds a repository, or a commit to its main branch."""
        repository = self.repositories.setdefault(repo_id, Repository(private))
        stored = {
            path: StoredFile(data, path.endswith(".h5")) for path, data in files.items()
        }
        self.objects |= {f.sha256: f.data for f in stored.values() if f.lfs}
        repository.commit("main", "added", stored)

    def files(self, repo_id: str, revision: str = "main") -> dict[str, bytes]:
        head = self.repositories[repo_id].head(revision)
        return {path: file.data for path, file in head.files.items()}

    def requests(self, method: str, pattern: str = "") -> list[str]:
        """The paths of the requests so far."""
        return [p for m, p, _ in self.log if m == method and re.search(pattern, p)]

    def answer(self, request: Request) -> Reply:
        with self.lock:
            for method, pattern, handle in routes.ROUTES:
                match = re.fullmatch(pattern, request.path)
                if match and request.method in method:
                    return Reply(*handle(self, request, **match.groupdict()))
        return Reply(404, {"error": f"no route {request.method} {request.path}"})


class _Handler(BaseHTTPRequestHandler):
    hub: HubDouble
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        authorization = self.headers.get("Authorization") or ""
        request = Request(
            method=self.command,
            path=unquote(url.path),
            query=parse_qs(url.query),
            body=body,
            token=authorization.removeprefix("Bearer ").strip(),
            range=self.headers.get("Range") or "",
        )
        fault = self.hub.faults.take(request.method, request.path)
        if fault and fault.status:
            reply = Reply(fault.status, {"error": "on purpose"}, fault.headers)
        else:
            reply = self.hub.answer(request)
        self.hub.log.append((request.method, request.path, reply.status))
        self._send(reply, fault)

    def _send(self, reply: Reply, fault: Fault | None) -> None:
        body, headers = reply.body, dict(reply.headers)
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        if fault and fault.body:
            body = fault.body(body)
        self.send_response(reply.status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(body, fault)

    def _send_body(self, body: bytes, fault: Fault | None) -> None:
        try:
            if fault and fault.drop_after is not None:
                self.wfile.write(body[: fault.drop_after])
                self.close_connection = True
            elif fault and fault.stop_after is not None:
                self.wfile.write(body[: fault.stop_after])
                self.wfile.flush()
                fault.resume.wait(120)
                self.close_connection = True
            else:
                self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve
