"""The HTTP server: uvicorn with timeouts and a limit on connections."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from keras_involution.whale_id.serve.limits import Limits


def build_server(
    app: Any, *, host: str = "127.0.0.1", port: int = 8000, log_level: str = "info"
) -> uvicorn.Server:
    """Builds a server for an application of `create_app`, with its limits.

    Args:
        app: Application.
        host: String, address to listen on.
        port: Integer; 0 selects a free port.
        log_level: String, as for uvicorn.

    Returns:
        `uvicorn.Server`; its `run` ends within `shutdown_seconds` after SIGTERM.
    """
    limits: Limits = app.state.limits
    book = _Book(limits.connections, app.state.metrics)
    _allow_files(limits.connections + 200)

    def protocol(*args: Any, **options: Any) -> _TimedProtocol:
        return _TimedProtocol(limits, book, *args, **options)

    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level=log_level,
        lifespan="on",
        ws="none",
        http=protocol,  # type: ignore[arg-type]
        server_header=False,
        timeout_keep_alive=max(1, round(limits.keep_alive_seconds)),
        timeout_graceful_shutdown=max(1, round(limits.shutdown_seconds)),
    )
    return uvicorn.Server(config)


class _Book:
    """The open connections, and the idle ones, oldest first."""

    def __init__(self, most: int, metrics: Any) -> None:
        self.most, self.metrics = most, metrics
        self.open: set[_TimedProtocol] = set()
        self.waiting: dict[_TimedProtocol, None] = {}

    def enter(self, protocol: _TimedProtocol) -> None:
        if len(self.open) >= self.most:
            # A client with many idle connections must not block other clients.
            dropped = next(iter(self.waiting), protocol)
            dropped.drop("connections")
        self.open.add(protocol)
        self.waiting[protocol] = None
        self.metrics.connections.set(len(self.open))

    def leave(self, protocol: _TimedProtocol) -> None:
        self.open.discard(protocol)
        self.waiting.pop(protocol, None)
        self.metrics.connections.set(len(self.open))


class _TimedProtocol(H11Protocol):
    """A connection that is closed when its client is too slow."""

    def __init__(self, limits: Limits, book: _Book, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.limits, self.book = limits, book
        self.timer: asyncio.TimerHandle | None = None
        self.write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.book.enter(self)
        self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self.timer, self.write_timer):
            if timer is not None:
                timer.cancel()
        self.book.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_request():
            self.book.waiting.pop(self, None)
            if self.timer is not None:
                self.timer.cancel()
                self.timer = None
        elif self.timer is None:
            self._expect_header()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_in_request():
            self.book.waiting[self] = None
        if self.transport.get_write_buffer_size():
            self._expect_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.write_timer is not None:
            self.write_timer.cancel()
            self.write_timer = None

    def drop(self, limit: str) -> None:
        """Closes the connection."""
        self.book.metrics.dropped.labels(limit).inc()
        self.book.leave(self)
        self.transport.abort()

    def _is_in_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_header(self) -> None:
        seconds = self.limits.header_seconds
        self.timer = self.loop.call_later(seconds, self.drop, "header_seconds")

    def _expect_reader(self) -> None:
        if self.write_timer is None:
            seconds = self.limits.stall_seconds
            self.write_timer = self.loop.call_later(seconds, self._drop_if_unread)

    def _drop_if_unread(self) -> None:
        self.write_timer = None
        if self.transport.get_write_buffer_size():
            self.drop("stall_seconds")


def _allow_files(number: int) -> None:
    """Raises the soft limit of open files if the system allows it."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = number if hard < 0 else min(number, hard)
        if 0 <= soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
