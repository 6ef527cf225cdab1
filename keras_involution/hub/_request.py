"""Sends one request to an untrusted server, with limits on redirects, size and time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    import httpx

_REDIRECTS = (301, 302, 303, 307, 308)
_TEMPORARY = (408, 425, 429, 500, 502, 503, 504)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Limits:
    """The limits of a transfer.

    Attributes:
        tries: Integer, maximum number of consecutive failures without a new byte.
        first_wait: Float, seconds before the second try; the wait doubles each time.
        longest_wait: Float, maximum wait in seconds, also for `Retry-After`.
        connect: Float, seconds to connect.
        stall: Float, seconds in which at least `stall_bytes` must arrive.
        stall_bytes: Integer, minimum number of bytes in `stall` seconds.
        total: Float, seconds for the whole transfer, including all tries.
    """

    tries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 30.0
    connect: float = 20.0
    stall: float = 20.0
    stall_bytes: int = 2048
    total: float = 12 * 3600.0

    def wait(self, failures: int, asked: float = 0.0) -> float:
        """Seconds to wait after `failures`, at least `asked`, up to `longest_wait`."""
        doubled = self.first_wait * 2 ** (failures - 1)
        return min(max(doubled, asked), self.longest_wait)


class TransferError(Exception):
    """A transfer failed. The message is a sentence without a period.

    Attributes:
        temporary: Boolean, whether the same request may succeed later.
        status: Integer, HTTP status, or 0 if the failure has another reason.
        code: String, the error code that the Hub sends with the status.
        detail: String, the beginning of the response.
    """

    def __init__(
        self, message: str, temporary: bool = False, status: int = 0, code: str = ""
    ) -> None:
        super().__init__(message)
        self.temporary, self.status, self.code = temporary, status, code
        self.detail, self.retry_after = "", 0.0


class OtherFileError(TransferError):
    """A downloaded file does not have the expected content."""


@dataclass(frozen=True)
class Address:
    """The address of a download.

    Attributes:
        url: String, `https://`, or `http://` if the caller allows it.
        headers: Mapping of HTTP headers, sent only to the server of `url`.
        plain_redirects: Boolean, whether a redirect may lead to `http://` on the same
            host or on loopback. Only a Hub at an `http://` address needs it.
    """

    url: str
    headers: Mapping[str, str] | None = None
    plain_redirects: bool = False


def is_secure(url: str) -> bool:
    """Whether a URL is encrypted or on this machine, and contains no password."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    plain = parts.username is None and parts.password is None
    return plain and bool(parts.hostname) and (parts.scheme == "https" or local)


@contextlib.contextmanager
def answer_to(
    address: Address, headers: Mapping[str, str], limits: Limits, deadline: float
) -> Iterator[httpx.Response]:
    """Yields the response after redirects, before its body is read."""
    import httpx

    timeout = httpx.Timeout(limits.stall, connect=limits.connect)
    url, own = address.url, dict(address.headers or {})
    with httpx.Client(timeout=timeout, follow_redirects=False) as client:
        for _ in range(6):
            if time.monotonic() > deadline:
                raise TransferError(f"It took longer than {limits.total:.0f} s", True)
            # With compression, the length of the body would not be that of the file.
            sent = {"Accept-Encoding": "identity", **own, **headers}
            with client.stream("GET", url, headers=sent) as response:
                if response.status_code not in _REDIRECTS:
                    yield response
                    return
                target = urljoin(url, response.headers.get("Location", ""))
            _check_redirect(address, target)
            if urlsplit(target).netloc != urlsplit(url).netloc:
                own = {}
            url = target
    raise TransferError("The server redirects more than five times")


def blocks(
    response: httpx.Response, most: int, limits: Limits, deadline: float
) -> Iterator[bytes]:
    """Yields the body as it arrives. A very slow transfer counts as a stall."""
    received, since, mark = 0, time.monotonic(), 0
    # With a block size, httpx would hold back data until a block is full.
    for block in response.iter_raw():
        received += len(block)
        if received > most:
            raise TransferError(f"The server sends more than {most} bytes")
        yield block
        now = time.monotonic()
        if now > deadline:
            raise TransferError(f"It took longer than {limits.total:.0f} s", True)
        if now - since > limits.stall:
            if received - mark < limits.stall_bytes:
                raise TransferError(
                    f"The server sent {received - mark} bytes in {now - since:.0f} s",
                    True,
                )
            since, mark = now, received


def _check_redirect(address: Address, target: str) -> None:
    parts = urlsplit(target)
    if parts.username is not None or parts.password is not None:
        raise TransferError("The server redirects to an address with credentials")
    if parts.scheme == "https" and parts.hostname:
        return
    near = parts.hostname in (*_LOOPBACK, urlsplit(address.url).hostname)
    if not (address.plain_redirects and parts.scheme == "http" and near):
        raise TransferError(
            f"The server redirects to {parts.scheme or 'nothing'}://{parts.hostname}, "
            "which is not encrypted"
        )


def check_status(response: httpx.Response) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    error = TransferError(
        f"The server answered with status {status}",
        temporary=status in _TEMPORARY,
        status=status,
        code=response.headers.get("X-Error-Code", ""),
    )
    error.detail = next(response.iter_raw(), b"")[:1000].decode("utf-8", "replace")
    asked = response.headers.get("Retry-After", "")
    error.retry_after = float(asked[:9]) if asked.isdecimal() else 0.0
    raise error
