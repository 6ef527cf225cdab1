"""One request to a server that is not trusted: redirects, statuses, stalls, lengths."""

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
    """What a transfer may take.

    Attributes:
        tries: Integer, failures in a row that brought no new byte.
        first_wait: Float, seconds before the second try; each further wait doubles.
        longest_wait: Float, the longest wait in seconds; a longer `Retry-After` is
            cut to it.
        connect: Float, seconds to connect.
        stall: Float, seconds in which at least `stall_bytes` must arrive.
        stall_bytes: Integer.
        total: Float, seconds for the whole transfer, all tries together.
    """

    tries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 30.0
    connect: float = 20.0
    stall: float = 20.0
    stall_bytes: int = 2048
    total: float = 12 * 3600.0

    def wait(self, failures: int, asked: float = 0.0) -> float:
        """Seconds to wait after so many failures, of which the server asks `asked`."""
        doubled = self.first_wait * 2 ** (failures - 1)
        return min(max(doubled, asked), self.longest_wait)


class TransferError(Exception):
    """A transfer that failed; the message is a sentence without its full stop.

    Attributes:
        temporary: Boolean, whether the same request may succeed later.
        status: Integer, HTTP status; 0 where none was the reason.
        code: String, the error code that a Hub adds to it.
        detail: String, the beginning of the answer.
    """

    def __init__(
        self, message: str, temporary: bool = False, status: int = 0, code: str = ""
    ) -> None:
        super().__init__(message)
        self.temporary, self.status, self.code = temporary, status, code
        self.detail, self.retry_after = "", 0.0


class OtherFileError(TransferError):
    """A complete file that does not have the content that it must have."""


@dataclass(frozen=True)
class Address:
    """Where something is fetched.

    Attributes:
        url: String, `https://`; `http://` where the caller has accepted that.
        headers: What the server of `url`, and no other, is told.
        plain_redirects: Boolean, whether a redirect may lead to `http://` on the same
            host or on loopback. Only a Hub on such an address needs it.
    """

    url: str
    headers: Mapping[str, str] | None = None
    plain_redirects: bool = False


def is_secure(url: str) -> bool:
    """Whether an address is encrypted or on this machine, and has no password."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    plain = parts.username is None and parts.password is None
    return plain and bool(parts.hostname) and (parts.scheme == "https" or local)


@contextlib.contextmanager
def answer_to(
    address: Address, headers: Mapping[str, str], limits: Limits, deadline: float
) -> Iterator[httpx.Response]:
    """The answer after redirects, its body not read yet."""
    import httpx

    timeout = httpx.Timeout(limits.stall, connect=limits.connect)
    url, own = address.url, dict(address.headers or {})
    with httpx.Client(timeout=timeout, follow_redirects=False) as client:
        for _ in range(6):
            if time.monotonic() > deadline:
                raise TransferError(f"It took longer than {limits.total:.0f} s", True)
            # Compressed, the length of the body would not be that of the file.
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
    """The body as it comes; a trickle counts as a stall."""
    received, since, mark = 0, time.monotonic(), 0
    # With a block size it would keep what has arrived until a block is full.
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
