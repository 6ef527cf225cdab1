"""Downloads published checkpoints by URL, verifies their hash and caches them."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keras_involution._arguments import received
from keras_involution._files import DiskFullError, atomic_write, reading
from keras_involution.hub import transfer
from keras_involution.hub._cache import Cache
from keras_involution.hub._source import PresetError
from keras_involution.hub.checkpoints import is_checkpoint
from keras_involution.hub.checkpoints.budget import MAX_FILE_BYTES
from keras_involution.hub.client import is_offline
from keras_involution.hub.transfer import (
    Address,
    Expected,
    OtherFileError,
    TransferError,
    is_secure,
    sha256_of,
)

MIRROR = "KERAS_INVOLUTION_MIRROR"
"""Environment variable with the address of a mirror of the built-in checkpoints."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")
_LEAST_BYTES = 500


@dataclass(frozen=True)
class PublishedWeights:
    """A checkpoint published by a third party, and what is known about it.

    Attributes:
        url: String, the address of the file.
        file_bytes: Tuple of 2 integers, minimum and maximum size of the file.
        source: String, address of the project that publishes it.
        license: String, the license and its origin.
        second_url: String, address of an independent conversion of the same weights.
        sha256: String, the hash of the file; `None` if it is not recorded yet.
        accuracy: Dictionary of the accuracies that the publisher measured, in percent.
    """

    url: str
    file_bytes: tuple[int, int]
    source: str
    license: str
    second_url: str | None = None
    sha256: str | None = None
    accuracy: Mapping[str, float] | None = None

    @property
    def file_name(self) -> str:
        return _file_name(self.url)

    def at(self, mirror: str | None) -> str:
        """The address of the file, on the mirror if one is given or set."""
        base = mirror or os.environ.get(MIRROR)
        return f"{base.rstrip('/')}/{self.file_name}" if base else self.url


@dataclass(frozen=True)
class Fetched:
    """A checkpoint on this machine.

    Attributes:
        path: Path of the file.
        url: String, the address it came from.
        sha256: String, the hash of the file.
        downloaded: Boolean, whether this call downloaded it.
    """

    path: Path
    url: str
    sha256: str
    downloaded: bool


def is_checkpoint_url(preset: str | Path) -> bool:
    """Whether `preset` is the URL of a checkpoint file."""
    text = str(preset)
    if not text.lower().startswith(("https://", "http://")):
        return False
    return is_checkpoint(Path(urlsplit(text).path).name)


def fetch_url(url: str, cache_dir: str | Path | None = None) -> Path:
    """Downloads a checkpoint, or finds it in the cache; the path of the file.

    Raises:
        PresetError: If the URL is not encrypted, the file cannot be fetched, or it
            differs from the file at the first use of this URL.
    """
    cache = Cache.of(cache_dir)
    name = hashlib.sha256(url.encode()).hexdigest()[:24]
    anything = PublishedWeights(
        url, (_LEAST_BYTES, MAX_FILE_BYTES), source=url, license="unknown"
    )
    with cache.locked(name):
        fetched = fetch_published(name, anything, cache, mirror=None, given=url)
        record_first_use(cache, name, fetched)
    return fetched.path


def fetch_published(
    name: str,
    published: PublishedWeights,
    cache: Cache,
    mirror: str | None = None,
    given: str = "",
) -> Fetched:
    """Downloads a checkpoint to the cache, or finds it there, and verifies its hash.

    Raises:
        PresetError: If it cannot be fetched or is not the expected file.
    """
    url = given or published.at(mirror)
    path = cache.checkpoint(name, published.file_name)
    preset = given or name
    if not is_secure(url):
        raise PresetError(
            "The URL of a checkpoint must begin with https:// and must not contain a "
            "password. " + received(url=url)
        )
    known = _known_sha256(name, published, cache)

    def check(file: Path) -> None:
        if known and sha256_of(file) != known[0]:
            raise OtherFileError(
                f"{file.name} has SHA-256 {sha256_of(file)}, not {known[0]} {known[1]}"
            )

    downloaded = not path.is_file()
    try:
        if downloaded:
            _require_network(url, path, preset)
            with cache.writable():
                path.parent.mkdir(parents=True, exist_ok=True)
                expected = Expected(*published.file_bytes, check)
                transfer.download(Address(url), path, expected, transfer.FILES)
        else:
            check(path)
    except TransferError as error:
        raise PresetError(_advice(error, url, path, preset, downloaded)) from error
    except DiskFullError as error:
        raise PresetError(f"{error}, preset={preset!r}") from error
    return Fetched(path, url, sha256_of(path), downloaded)


def _require_network(url: str, path: Path, preset: str) -> None:
    if is_offline():
        raise PresetError(
            "Nothing is downloaded, because HF_HUB_OFFLINE is set. Download "
            f"{url} on another machine and save it as {path}. "
            + received(preset=preset)
        )


def _advice(
    error: TransferError, url: str, path: Path, preset: str, downloaded: bool
) -> str:
    if not downloaded:
        todo = f"Remove {path} to download it again"
    elif error.temporary:
        todo = (
            "Try again to resume the download. Or set a `mirror`, or save the file as "
            f"{path}"
        )
    else:
        todo = (
            f"Set another address with `mirror` or {MIRROR}, or download the file in "
            f"another way and save it as {path}"
        )
    return f"{error} ({url}). {todo}. {received(preset=preset)}"


def _known_sha256(
    name: str, published: PublishedWeights, cache: Cache
) -> tuple[str, str] | None:
    """The expected hash of the file, and its origin."""
    if published.sha256:
        return published.sha256, "as recorded in the table of presets"
    record = cache.record(name)
    if not record.is_file():
        return None
    with reading(record, "The record of the first use", PresetError):
        found = json.loads(record.read_text("utf-8"))
        sha256, day = str(found["sha256"]), str(found["day"])
    return sha256, f"as at first use on {day}; if the change is right, remove {record}"


def record_first_use(cache: Cache, name: str, fetched: Fetched) -> None:
    """Records the hash at the first use of a checkpoint, and prints it."""
    record = cache.record(name)
    if record.is_file():
        return
    notes: dict[str, Any] = {
        "url": fetched.url,
        "sha256": fetched.sha256,
        "bytes": fetched.path.stat().st_size,
        "day": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    with cache.writable(), atomic_write(record, force=True) as draft:
        draft.write_text(json.dumps(notes, indent=2) + "\n", "utf-8")
    print(
        f"{fetched.path.name}: SHA-256 {fetched.sha256}, recorded in {record}",
        file=sys.stderr,
    )


def _file_name(url: str) -> str:
    name = Path(urlsplit(url).path).name
    if not _PLAIN.fullmatch(name):
        raise PresetError(
            "The URL of a checkpoint must end with a plain file name. "
            + received(url=url)
        )
    return name if is_checkpoint(name) else f"{name}.pdparams"
