"""The checks that every request passes before the application sees it."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from collections.abc import Callable, Collection
from typing import Any

from keras_involution.whale_id.serve.limits import Limits

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src "
        b"'none'",
    ),
)


class Gate:
    """Rejects requests for other hosts, and requests that are too large or too slow.

    Args:
        app: The wrapped ASGI application.
        limits: `Limits`.
        hosts: Collection of strings, names of the server in addition to its addresses
            and its host name. A page of another site whose name resolves to this
            server (DNS rebinding) sends another name. `"*"` allows all.
        on_dropped: Function that is called with the name of a limit that was exceeded.
    """

    def __init__(
        self,
        app: Any,
        limits: Limits,
        hosts: Collection[str] = (),
        on_dropped: Callable[[str], Any] = lambda name: None,
    ) -> None:
        self.app, self.limits, self.on_dropped = app, limits, on_dropped
        names = {"localhost", socket.gethostname(), *hosts}
        self.hosts = {name.lower() for name in names}
        self.held = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        length = headers.get(b"content-length", b"0")
        if not self.is_allowed(host):
            await _refuse(send, 400, f"{host!r} is not a name of this server.")
        elif not length.isdigit() or int(length) > self.limits.body_bytes:
            await _refuse(send, 413, "The request is too large.")
        else:
            await _Exchange(self, scope, receive, send).run()

    def is_allowed(self, host: str) -> bool:
        """Whether a `Host` header is allowed; addresses always are."""
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if "*" in self.hosts or name.lower() in self.hosts:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


class _Exchange:
    """One request and its response."""

    def __init__(self, gate: Gate, scope: Any, receive: Any, send: Any) -> None:
        self.gate, self.limits, self.scope = gate, gate.limits, scope
        self.receive, self.send = receive, send
        self.taken, self.begun, self.ended = 0, False, False
        self.until = asyncio.get_running_loop().time() + self.limits.body_seconds

    async def run(self) -> None:
        try:
            await self.gate.app(self.scope, self.counted, self.noted)
        except _Refused as error:
            self.gate.on_dropped(error.limit)
            if not self.begun:
                await _refuse(self.send, error.status, error.text)
        finally:
            self.gate.held -= self.taken

    async def counted(self) -> Any:
        """The next piece of the body, within the limits."""
        if self.ended:
            return await self.receive()
        now = asyncio.get_running_loop().time()
        patience = min(self.limits.stall_seconds, self.until - now)
        try:
            message = await asyncio.wait_for(self.receive(), max(patience, 0))
        except TimeoutError:
            raise _Refused(408, "body_seconds", "The request is too slow.") from None
        size = len(message.get("body", b""))
        self.taken += size
        self.gate.held += size
        self.ended = not message.get("more_body", False)
        if self.taken > self.limits.body_bytes:
            raise _Refused(413, "body_bytes", "The request is too large.")
        if self.gate.held > self.limits.upload_bytes:
            raise _Refused(503, "upload_bytes", "Too many uploads at the same time.")
        return message

    async def noted(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            # After a rejection the server would otherwise read the rest of the body.
            finished = self.ended or self._is_bare()
            close = [] if finished else [(b"connection", b"close")]
            message = {**message, "headers": [*message["headers"], *_HEADERS, *close]}
        await self.send(message)

    def _is_bare(self) -> bool:
        """Whether the request has no body that could still arrive."""
        names = {name for name, _ in self.scope["headers"]}
        return not names & {b"content-length", b"transfer-encoding"}


class _Refused(Exception):
    def __init__(self, status: int, limit: str, text: str) -> None:
        super().__init__(text)
        self.status, self.limit, self.text = status, limit, text


async def _refuse(send: Any, status: int, text: str) -> None:
    body = json.dumps({"detail": text}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *_HEADERS,
    ]
    if status == 503:
        headers.append((b"retry-after", b"5"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
