"""What a server takes at most."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from keras_involution import _arguments


@dataclass(frozen=True)
class Limits:
    """Limits of a request and of a server.

    Args:
        files: Integer, photographs a request.
        file_bytes: Integer, size of a photograph's file.
        pixels: Integer, width by height; larger pictures are refused unopened.
        batch: Integer, photographs that the network sees at once.
        waiting: Integer, photographs that wait for the network; requests beyond are
            turned away with 503. A request to an idle server may hold more.
        top: Integer, animals an answer.

    Raises:
        ValueError: If one of them is not a positive integer.
    """

    files: int = 20
    file_bytes: int = 30_000_000
    pixels: int = 60_000_000
    batch: int = 16
    waiting: int = 200
    top: int = 10

    def __post_init__(self) -> None:
        for limit in fields(self):
            _arguments.positive_integer(getattr(self, limit.name), limit.name)

    @property
    def body_bytes(self) -> int:
        """Size of a whole request, with room for its headers."""
        return self.files * self.file_bytes + 100_000


class BodyLimit:
    """Cuts a request off when its body grows too large, announced or not.

    Args:
        app: The ASGI application behind.
        largest: Integer, bytes.
    """

    def __init__(self, app: Any, largest: int) -> None:
        self.app, self.largest = app, largest

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.largest:
            await _refuse(send)
            return
        taken, begun, ended = 0, False, False

        async def counted() -> Any:
            nonlocal taken, ended
            message = await receive()
            taken += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if taken > self.largest:
                raise _TooLarge
            return message

        async def noted(message: Any) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start" and not ended:
                # The server would go on reading what nobody asked for.
                close = (b"connection", b"close")
                message = {**message, "headers": [*message["headers"], close]}
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except _TooLarge:
            if not begun:
                await _refuse(send)


class _TooLarge(Exception):
    pass


async def _refuse(send: Any) -> None:
    body = b'{"detail":"The request is too large."}'
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
