"""Downloads with retries, and with limits of time and size.

All downloads of this package use this module: checkpoints by URL, and the files and
listings of a Hub. Servers are not trusted: lengths are compared with what the caller
expects, file names never come from a response, redirects must stay encrypted, and every
wait has a time limit.
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
    """Fetches a short response, such as a listing.

    Raises:
        TransferError: If the request fails, or the response exceeds `most` bytes.
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
    """Downloads a file to `path`, and resumes an incomplete download.

    The caller makes sure that no other process downloads the same file. An incomplete
    file has the suffix `.part`.

    Raises:
        TransferError: If the download fails, or the file is not the expected one.
        DiskFullError: If the file does not fit on the disk.
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
    """Retries after temporary failures, until `tries` in a row bring no new byte."""
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
