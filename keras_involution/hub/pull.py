"""Presets from the Hugging Face Hub: one listing, and only the files needed."""

from __future__ import annotations

import functools
import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_involution.hub._documents import MAX_BYTES
from keras_involution.hub._errors import hub_errors, refuse
from keras_involution.hub._format import CONFIG_FILE
from keras_involution.hub._source import Source, local_source
from keras_involution.hub.client import Client, Unreachable

_HEX = "0123456789abcdef"


@dataclass(frozen=True)
class Listing:
    """The files of one commit."""

    commit: str
    sizes: dict[str, int]
    hashes: dict[str, str]


def hub_source(preset: str, client: Client, revision: str | None) -> Source:
    """The preset in a Hub repository; its files are fetched when they are asked for.

    Where the Hub cannot be reached, the copy in the cache stands in for it.

    Raises:
        ValueError: If the repository, its revision or its config is missing or not
            accessible, or the Hub and the cache both fail.
    """
    try:
        with hub_errors(preset, revision):
            listing = _list(client, revision)
    except Unreachable as error:
        return _cached_source(preset, client, revision, error)
    if CONFIG_FILE not in listing.sizes:
        raise refuse(f"The repository is no preset: it has no {CONFIG_FILE}", preset)
    fetch = functools.partial(_fetch, preset, client, listing, revision)
    folder = fetch([CONFIG_FILE])
    return Source(preset, folder, listing.sizes, fetch)


def _list(client: Client, revision: str | None) -> Listing:
    info = client.api.model_info(
        client.repo_id, revision=revision, files_metadata=True, timeout=30
    )
    files = info.siblings or []
    hashes = {f.rfilename: _hash(f) for f in files}
    sizes = {f.rfilename: f.size or 0 for f in files}
    return Listing(str(info.sha), sizes, hashes)


def _hash(file: Any) -> str:
    return file.lfs.sha256 if file.lfs else file.blob_id or ""


def _fetch(
    preset: str,
    client: Client,
    listing: Listing,
    revision: str | None,
    names: Sequence[str],
) -> Path:
    """Downloads what the cache does not hold; the folder of the commit."""
    folder = Path()
    for name in names:
        if not name.endswith(".h5") and listing.sizes[name] > MAX_BYTES:
            raise refuse(
                f"The preset's {name} is larger than {MAX_BYTES} bytes", preset
            )
        try:
            with hub_errors(preset, revision):
                folder = _download(client, listing, name).parent
        except Unreachable as error:
            raise refuse(str(error).rstrip("."), preset, revision) from error
    if CONFIG_FILE in names:
        client.remember(revision, listing.commit)
    return folder


def _download(client: Client, listing: Listing, name: str) -> Path:
    for _ in range(2):
        path = client.download(name, listing.commit)
        if _is_intact(path, listing.hashes[name]):
            return path
        # A damaged file that stayed in the cache would be met again on every try.
        Path(os.path.realpath(path)).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    raise ValueError(
        f"{name} does not have the content that the Hub lists; the download was removed"
    )


def _is_intact(path: Path, expected: str) -> bool:
    """Whether a file has the listed sha256, or for a small file the git hash."""
    if len(expected) == 64:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest() == expected


def _cached_source(
    preset: str, client: Client, revision: str | None, error: Unreachable
) -> Source:
    try:
        folder = client.cached(CONFIG_FILE, revision).parent
    except (OSError, ValueError):
        sentence = (
            f"{error} And the cache holds no copy of the preset, so it must be "
            "downloaded once while the Hub can be reached"
        )
        raise refuse(sentence, preset, revision) from error
    if not error.wanted:
        warnings.warn(
            f"{error} The copy of commit {folder.name} in the cache is used.",
            stacklevel=6,
        )
    source = local_source(folder, preset)
    return Source(
        preset, folder, source.sizes, functools.partial(_check_cached, source)
    )


def _check_cached(source: Source, names: Sequence[str]) -> None:
    """Compares cached files with the hashes that they are named by in the cache."""
    for name in names:
        blob = Path(os.path.realpath(source.folder / name))
        is_hash = len(blob.name) in (40, 64) and set(blob.name) <= set(_HEX)
        if is_hash and not _is_intact(blob, blob.name):
            blob.unlink()
            (source.folder / name).unlink()
            raise ValueError(f"{name} was damaged in the cache, and is removed from it")
