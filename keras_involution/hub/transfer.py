"""Downloads that survive bad networks and bad servers, within limits of time and size.

The only code of this package that fetches files: checkpoints by URL, and the files and
listings of a Hub. It trusts no server: lengths are compared with what the caller
expects, names never come from an answer, redirects may not leave encryption, and every
wait has an end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from keras_involution._files import disk_full, is_disk_full
from keras_involution.hub._parts import Expected as Expected
from keras_involution.hub._parts import Part, receive
from keras_involution.hub._request import Address as Address
from keras_involution.hub._request import Limits as Limits
from keras_involution.hub._request import OtherFileError as OtherFileError
from keras_involution.hub._request import TransferError as TransferError
from keras_involution.hub._request import answer_to, blocks, check_status
from keras_involution.hub._request import is_secure as is_secure

FILES = Limits()
LISTINGS = Limits(tries=2, total=60.0)


def fetch(address: Address, most: int, limits: Limits = LISTINGS) -> bytes:
    """A short answer, a listing say.

    Raises:
        TransferError: If it does not arrive, or has more than `most` bytes.
    """

    def attempt(deadline: float) -> bytes:
        with answer_to(address, {}, limits, deadline) as response:
            check_status(response)
            body = b"".join(blocks(response, most, limits, deadline))
            return body

    return _with_retries(attempt, limits, lambda: 0)


def download(
    address: Address,
    path: Path,
    expected: Expected,
    limits: Limits = FILES,
) -> None:
    """Brings a file to `path`; what an earlier process left half done is continued.

    The caller sees to it that no other process downloads the same file. Until it is
    complete, the file is `path` with `.part` at its end.

    Raises:
        TransferError: If it does not arrive, or is another file than expected.
        DiskFullError: If the disk has no room for it.
    """
    part = Part(path, address.url)

    def attempt(deadline: float) -> None:
        receive(address, part, expected, limits, deadline)

    try:
        _with_retries(attempt, limits, part.size)
        expected.check(part.path)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(path, part.total or expected.least) from error
        raise
    except TransferError as error:
        if not error.temporary:
            part.remove()
        raise
    part.complete()


def _with_retries(
    attempt: Callable[[float], Any], limits: Limits, size: Callable[[], int]
) -> Any:
    """Tries again after temporary failures, until none of `tries` brings a byte."""
    import httpx

    deadline = monotonic() + limits.total
    failures = 0
    while True:
        before = size()
        try:
            return attempt(deadline)
        except httpx.HTTPError as cause:
            reason = str(cause) or type(cause).__name__
            error = TransferError(f"The connection failed: {reason.rstrip('.')}", True)
            error.__cause__ = cause
        except (httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict) as cause:
            raise TransferError(f"The request failed: {cause}") from cause
        except TransferError as failed:
            error = failed
        if not error.temporary:
            raise error
        failures = 1 if size() > before else failures + 1
        wait = limits.wait(failures, error.retry_after)
        if failures >= limits.tries or monotonic() + wait > deadline:
            raise error
        sleep(wait)


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
