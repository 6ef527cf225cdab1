"""Limits of a server for sizes and times."""

from __future__ import annotations

from dataclasses import dataclass, fields

from keras_involution import _arguments


@dataclass(frozen=True)
class Limits:
    """Limits of a request, a connection and a server.

    Args:
        files: Integer, photos per request.
        file_bytes: Integer, size of a photo's file.
        pixels: Integer, width times height; larger images are rejected before they are
            decoded.
        batch: Integer, photos per batch of the network.
        waiting: Integer, photos waiting for the network; further requests are rejected
            with status 503. A request to an idle server may contain more.
        top: Integer, animals per answer.
        connections: Integer, open connections. A new connection replaces the oldest one
            that has not sent a request.
        upload_bytes: Integer, total bytes of all requests that are being read; further
            requests are rejected with status 503.
        header_seconds: Float, time from the start of a connection, or the first byte of
            a later request, to the end of its headers.
        body_seconds: Float, time from the headers to the end of the body.
        stall_seconds: Float, time between two pieces of a body, or of a response that
            the client reads.
        keep_alive_seconds: Float, time that a connection without a request stays open.
        shutdown_seconds: Float, time for running requests after SIGTERM.
        decoders: Integer, processes that decode images.
        decode_seconds: Float, processor time per image.
        decode_bytes: Integer, memory per image.

    Raises:
        ValueError: If a limit is not positive, or a count is not an integer.
    """

    files: int = 20
    file_bytes: int = 30_000_000
    pixels: int = 60_000_000
    batch: int = 16
    waiting: int = 200
    top: int = 10
    connections: int = 500
    upload_bytes: int = 1_000_000_000
    header_seconds: float = 10.0
    body_seconds: float = 120.0
    stall_seconds: float = 20.0
    keep_alive_seconds: float = 15.0
    shutdown_seconds: float = 10.0
    decoders: int = 2
    decode_seconds: float = 5.0
    decode_bytes: int = 1_000_000_000

    def __post_init__(self) -> None:
        for limit in fields(self):
            counts = isinstance(limit.default, int)
            check = (
                _arguments.positive_integer if counts else _arguments.positive_number
            )
            check(getattr(self, limit.name), limit.name)

    @property
    def body_bytes(self) -> int:
        """Size of a whole request, with room for its headers."""
        return self.files * self.file_bytes + 100_000
