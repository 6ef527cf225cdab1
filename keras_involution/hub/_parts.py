"""Downloads a file in parts, over several requests and processes."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keras_involution._files import atomic_write, disk_full
from keras_involution.hub._progress import progress_of
from keras_involution.hub._request import (
    Address,
    Limits,
    TransferError,
    answer_to,
    blocks,
    check_status,
)

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True)
class Expected:
    """What is known about a file before the download.

    Attributes:
        least: Integer, minimum size in bytes.
        most: Integer, maximum size in bytes.
        check: Function of the path of the complete file. It raises `TransferError` if
            the file is not the expected one.
    """

    least: int
    most: int
    check: Callable[[Path], None] = lambda path: None


class Part:
    """An incomplete file, with the size and the validator that the server sent."""

    def __init__(self, target: Path, url: str) -> None:
        self.target, self.url = target, url
        self.path = target.with_name(target.name + ".part")
        self._notes = target.with_name(target.name + ".part.json")
        self.validator, self.total = "", 0
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            notes = json.loads(self._notes.read_text("utf-8"))
            if notes["url"] == url and self.path.is_file():
                self.validator = str(notes["validator"])
                self.total = int(notes["total"])

    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def resumed_at(self) -> int:
        """The offset at which to resume; 0 if the server sent no validator."""
        return self.size() if self.validator else 0

    def restart(self, validator: str, total: int) -> None:
        self.path.unlink(missing_ok=True)
        self.validator, self.total = validator, total
        notes = {"url": self.url, "validator": validator, "total": total}
        with atomic_write(self._notes, force=True) as draft:
            draft.write_text(json.dumps(notes), "utf-8")

    def remove(self) -> None:
        self.validator = ""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def complete(self) -> None:
        os.replace(self.path, self.target)
        self._notes.unlink(missing_ok=True)


def receive(
    address: Address, part: Part, expected: Expected, limits: Limits, deadline: float
) -> None:
    begin = part.resumed_at()
    if begin and begin == part.total:
        return
    if part.total and begin > part.total:
        begin = 0
    headers = {}
    if begin:
        headers = {"Range": f"bytes={begin}-", "If-Range": part.validator}
    with answer_to(address, headers, limits, deadline) as response:
        if response.status_code == 416:
            part.remove()
            raise TransferError("The server does not continue the file", True, 416)
        check_status(response)
        _check_kind(response)
        total = _announced(response, begin, part, expected)
        if response.status_code == 200:
            begin = 0
            part.restart(_validator(response), total)
        _write(response, part, begin, total, expected, limits, deadline)
    size = part.size()
    if total and size < total:
        raise TransferError(f"The connection ended after {size} of {total} bytes", True)
    if size < expected.least:
        raise TransferError(_wrong_length(size, expected))


def _announced(
    response: httpx.Response, begin: int, part: Part, expected: Expected
) -> int:
    """The length of the whole file according to the server, or 0 if unknown."""
    if response.status_code == 206:
        span, _, whole = response.headers.get("Content-Range", "").partition("/")
        same = span.replace(" ", "").startswith(f"bytes{begin}-")
        if not same or whole != str(part.total) or _is_other(response, part):
            part.remove()
            raise TransferError(
                "The file on the server changed between two parts", True
            )
        return part.total
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() and len(length) < 20 else 0
    if length and not expected.least <= total <= expected.most:
        raise TransferError(_wrong_length(total, expected))
    return total


def _write(
    response: httpx.Response,
    part: Part,
    begin: int,
    total: int,
    expected: Expected,
    limits: Limits,
    deadline: float,
) -> None:
    import shutil

    if total - begin > shutil.disk_usage(part.path.parent).free:
        raise disk_full(part.target, total - begin)
    with (
        part.path.open("ab" if begin else "wb") as file,
        progress_of(part.target.name, begin, total) as progress,
    ):
        try:
            for block in blocks(response, expected.most - begin, limits, deadline):
                if not begin and file.tell() == 0:
                    _check_begin(block)
                file.write(block)
                progress(len(block))
        finally:
            file.flush()
            os.fsync(file.fileno())


def _wrong_length(size: int, expected: Expected) -> str:
    return (
        f"The server has a file of {size} bytes, but {expected.least} to "
        f"{expected.most} are expected: it is another file or an incomplete one"
    )


def _check_kind(response: httpx.Response) -> None:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise TransferError("The server sends the file compressed")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise TransferError(_PAGE)


_PAGE = (
    "The server sends a web page instead of the file: an error page, or the login page "
    "of a network"
)


def _check_begin(block: bytes) -> None:
    if block[:200].lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise TransferError(_PAGE)


def _validator(response: httpx.Response) -> str:
    """The header that identifies the version of a file: strong `ETag`, or the date."""
    tag = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/") and len(tag) < 1000:
        return tag
    return response.headers.get("Last-Modified", "")[:100]


def _is_other(response: httpx.Response, part: Part) -> bool:
    return _validator(response) not in ("", part.validator)
