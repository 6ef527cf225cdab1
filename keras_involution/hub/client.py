"""The client of the Hub, configured by arguments and the environment at every call."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from keras_involution.hub import transfer
from keras_involution.hub._documents import MAX_BYTES
from keras_involution.hub._locks import locked

if TYPE_CHECKING:
    from huggingface_hub import HfApi


class Unreachable(Exception):
    """The Hub is not reachable: no connection, an outage, or offline mode.

    Attributes:
        wanted: Boolean, whether the reason is offline mode, which the user chose.
    """

    def __init__(self, message: str, wanted: bool = False) -> None:
        super().__init__(message)
        self.wanted = wanted


@dataclass(frozen=True)
class Content:
    """The hash and size of a file in a listing.

    Attributes:
        hash: String, SHA-256 of a large file, or Git hash of a small file.
        size: Integer, size in bytes.
    """

    hash: str
    size: int

    def is_that_of(self, path: Path) -> bool:
        """Whether the file at `path` has this hash."""
        if len(self.hash) == 64:
            digest = hashlib.sha256()
        else:
            size = path.stat().st_size
            digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
        return digest.hexdigest() == self.hash

    def check(self, path: Path) -> None:
        """Raises `OtherFileError` if the file at `path` has another hash."""
        if not self.is_that_of(path):
            raise transfer.OtherFileError(
                "A file does not have the content that the Hub lists; the download was "
                "removed"
            )


def _link(path: Path, blob: Path) -> None:
    """Makes `path` a link to `blob`, or a copy if the system has no links."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    draft.unlink(missing_ok=True)
    try:
        draft.symlink_to(os.path.relpath(blob, path.parent))
    except OSError:
        shutil.copyfile(blob, draft)
    os.replace(draft, path)


@dataclass(frozen=True)
class Client:
    """A repository on the Hub.

    `HF_ENDPOINT`, `HF_HUB_CACHE` and `HF_HUB_OFFLINE` are read at every call.
    huggingface_hub reads them only once, when Keras imports it.
    """

    repo_id: str
    token: str | bool | None = field(default=None, repr=False)
    cache_dir: str | Path | None = None

    @cached_property
    def api(self) -> HfApi:
        from huggingface_hub import HfApi

        if is_offline():
            raise Unreachable(
                "The Hub is not used, because HF_HUB_OFFLINE is set.", True
            )
        return HfApi(
            endpoint=self.endpoint,
            token=self.token,
            library_name="keras_involution",
        )

    @property
    def endpoint(self) -> str:
        from huggingface_hub import constants

        return os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")

    @property
    def cache(self) -> Path:
        from huggingface_hub import constants

        chosen = self.cache_dir or os.environ.get("HF_HUB_CACHE")
        return Path(chosen or constants.HF_HUB_CACHE).expanduser()

    @property
    def folder(self) -> Path:
        """The folder of this repository in the cache of huggingface_hub."""
        return self.cache / f"models--{self.repo_id.replace('/', '--')}"

    def listing(self, revision: str | None) -> bytes:
        """The Hub's listing of the files of a revision, as JSON.

        Raises:
            TransferError: If the request fails.
        """
        at = f"/revision/{quote(revision, safe='')}" if revision else ""
        address = self._address(f"api/models/{self.repo_id}{at}?blobs=true")
        return transfer.fetch(address, MAX_BYTES, transfer.LISTINGS)

    def download(self, name: str, commit: str, content: Content) -> Path:
        """Downloads a file of a commit to the cache, if it is not there; its path.

        The name of the file in the cache is the hash in the listing, never a value from
        the response. huggingface_hub uses the `ETag` that the server sends.

        Raises:
            TransferError: If the download fails, or the file differs from the listing.
            DiskFullError: If the file does not fit on the disk.
            PresetError: If another process holds the lock for too long.
        """
        path = self.folder / "snapshots" / commit / name
        blob = self.folder / "blobs" / content.hash
        if path.is_file() and content.is_that_of(path):
            return path
        locks = self.cache / ".locks" / self.folder.name
        for folder in (path.parent, blob.parent, locks):
            folder.mkdir(parents=True, exist_ok=True)
        with locked(locks / f"{content.hash}.lock"):
            if not (blob.is_file() and content.is_that_of(blob)):
                address = self._address(
                    f"{self.repo_id}/resolve/{commit}/{quote(name)}"
                )
                expected = transfer.Expected(content.size, content.size, content.check)
                transfer.download(address, blob, expected, transfer.FILES)
            _link(path, blob)
        return path

    def _address(self, path: str) -> transfer.Address:
        from huggingface_hub.utils import build_hf_headers

        if is_offline():
            raise Unreachable(
                "The Hub is not used, because HF_HUB_OFFLINE is set.", True
            )
        headers = build_hf_headers(token=self.token, library_name="keras_involution")
        plain = self.endpoint.startswith("http://")
        return transfer.Address(f"{self.endpoint}/{path}", headers, plain)

    def cached(self, name: str, revision: str | None) -> Path:
        """The path of a file in the cache.

        Raises:
            FileNotFoundError: If the file is not in the cache.
        """
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(
            self.repo_id, name, cache_dir=self.cache, revision=revision
        )
        if not isinstance(path, str):
            raise FileNotFoundError(name)
        return Path(path)

    def remember(self, revision: str | None, commit: str) -> None:
        """Records the commit of a branch in the cache, as huggingface_hub does."""
        if revision == commit:
            return
        reference = self.folder / "refs" / (revision or "main")
        if not reference.is_file() or reference.read_text() != commit:
            reference.parent.mkdir(parents=True, exist_ok=True)
            reference.write_text(commit)


def is_offline() -> bool:
    """Whether `HF_HUB_OFFLINE` is set, read at every call."""
    from huggingface_hub import constants

    value = os.environ.get("HF_HUB_OFFLINE", "").upper()
    return constants.HF_HUB_OFFLINE or value in ("1", "ON", "YES", "TRUE")
