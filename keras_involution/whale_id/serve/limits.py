"""What a server takes at most, in size and in time."""

from __future__ import annotations

from dataclasses import dataclass, fields

from keras_involution import _arguments


@dataclass(frozen=True)
class Limits:
    """Limits of a request, a connection and a server.

    Args:
        files: Integer, photos of a request.
        file_bytes: Integer, size of a photo's file.
        pixels: Integer, width by height; larger images are refused before they are
            decoded.
        batch: Integer, photos that the network sees at once.
        waiting: Integer, photos that wait for the network; requests beyond are
            turned away with 503. A request to an idle server may hold more.
        top: Integer, animals of an answer.
        connections: Integer, open connections. A new one takes the place of the oldest
            that has not sent a request.
        upload_bytes: Integer, bytes of all requests that are read at the same time;
            requests beyond are turned away with 503.
        header_seconds: Float, from the begin of a connection or the first byte of a
            later request to the end of its headers.
        body_seconds: Float, from the headers to the end of the body.
        stall_seconds: Float, between two pieces of a body, or of a response that the
            client reads.
        keep_alive_seconds: Float, that a connection without a request stays open.
        shutdown_seconds: Float, that running requests get after SIGTERM.
        decoders: Integer, processes that decode images.
        decode_seconds: Float, time of a processor that an image may take.
        decode_bytes: Integer, memory that an image may take.

    Raises:
        ValueError: If one of them is not positive, or not an integer where it counts.
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
