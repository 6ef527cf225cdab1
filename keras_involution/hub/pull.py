"""Loads presets from the Hugging Face Hub: one listing, then only the needed files."""

from __future__ import annotations

import functools
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_involution.hub._documents import MAX_BYTES, short
from keras_involution.hub._errors import hub_errors, refuse
from keras_involution.hub._format import CONFIG_FILE
from keras_involution.hub._source import Source, local_source
from keras_involution.hub.client import Client, Content, Unreachable
from keras_involution.hub.transfer import OtherFileError

_HEX = "0123456789abcdef"
_MAX_FILES = 100_000


@dataclass(frozen=True)
class Listing:
    """The files of one commit."""

    commit: str
    files: dict[str, Content]

    @property
    def sizes(self) -> dict[str, int]:
        return {name: content.size for name, content in self.files.items()}


def hub_source(preset: str, client: Client, revision: str | None) -> Source:
    """The source of a preset in a Hub repository. Its files are fetched on demand.

    If the Hub is not reachable, the copy in the cache is used.

    Raises:
        ValueError: If the repository, its revision or its config is missing or not
            accessible, or if the Hub is not reachable and the cache has no copy.
    """
    try:
        with hub_errors(preset, revision):
            listing = _list(client, revision)
    except Unreachable as error:
        return _cached_source(preset, client, revision, error)
    if CONFIG_FILE not in listing.sizes:
        raise refuse(f"The repository is not a preset: it has no {CONFIG_FILE}", preset)
    fetch = functools.partial(_fetch, preset, client, listing, revision)
    folder = fetch([CONFIG_FILE])
    return Source(preset, folder, listing.sizes, fetch)


def _list(client: Client, revision: str | None) -> Listing:
    """The files of a revision, with every value of the response validated.

    Raises:
        ValueError: If the response is not a listing.
    """
    answer = client.listing(revision)
    try:
        info = json.loads(answer)
        commit, siblings = info["sha"], info.get("siblings") or []
        if not _is_hash(commit, 40) or len(siblings) > _MAX_FILES:
            raise ValueError("it has no commit, or too many files")
        return Listing(commit, dict(map(_listed, siblings)))
    except (
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
        RecursionError,
    ) as error:
        raise ValueError(f"the Hub sent no valid list of files ({error})") from error


def _listed(entry: Any) -> tuple[str, Content]:
    name, large = entry["rfilename"], entry.get("lfs")
    digest = large["sha256"] if large else entry.get("blobId") or ""
    size = entry.get("size") or 0
    if not isinstance(name, str) or type(size) is not int or size < 0:
        raise ValueError(f"{short(name)} has no size")
    if digest and not _is_hash(digest, 64 if large else 40):
        raise ValueError(f"{short(name)} has no hash")
    return name, Content(digest, size)


def _is_hash(value: Any, length: int) -> bool:
    return isinstance(value, str) and len(value) == length and set(value) <= set(_HEX)


def _fetch(
    preset: str,
    client: Client,
    listing: Listing,
    revision: str | None,
    names: Sequence[str],
) -> Path:
    """Downloads files that are not in the cache; returns the folder of the commit."""
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
    content = listing.files[name]
    if not content.hash:
        raise ValueError(f"the Hub lists no hash of {name}")
    try:
        return client.download(name, listing.commit, content)
    except OtherFileError:
        return client.download(name, listing.commit, content)


def _cached_source(
    preset: str, client: Client, revision: str | None, error: Unreachable
) -> Source:
    try:
        folder = client.cached(CONFIG_FILE, revision).parent
    except (OSError, ValueError):
        sentence = (
            f"{error} The cache holds no copy of the preset. Download it once while "
            "the Hub is reachable"
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
    """Compares cached files with the hashes in their names."""
    for name in names:
        blob = Path(os.path.realpath(source.folder / name))
        is_hash = _is_hash(blob.name, 40) or _is_hash(blob.name, 64)
        if is_hash and not Content(blob.name, 0).is_that_of(blob):
            blob.unlink()
            (source.folder / name).unlink()
            raise ValueError(f"{name} was damaged in the cache and has been removed")
