"""The real client of the Hub, set up from arguments and environment at every call."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub import HfApi


class Unreachable(Exception):
    """The Hub cannot be asked: no connection, an outage, or offline mode.

    Attributes:
        wanted: Whether it is offline mode, which somebody asked for.
    """

    def __init__(self, message: str, wanted: bool = False) -> None:
        super().__init__(message)
        self.wanted = wanted


@dataclass(frozen=True)
class Client:
    """One repository on the Hub.

    `HF_ENDPOINT`, `HF_HUB_CACHE` and `HF_HUB_OFFLINE` are read here, at every call;
    huggingface_hub reads them once, when Keras imports it.
    """

    repo_id: str
    token: str | bool | None = field(default=None, repr=False)
    cache_dir: str | Path | None = None

    @cached_property
    def api(self) -> HfApi:
        from huggingface_hub import HfApi

        if _is_offline():
            raise Unreachable(
                "The Hub is not asked, because HF_HUB_OFFLINE is set.", True
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

    def download(self, name: str, commit: str) -> Path:
        """The path of a file of a commit in the cache, after a download if need be."""
        path = self.api.hf_hub_download(
            self.repo_id, name, revision=commit, cache_dir=self.cache
        )
        return Path(path)

    def cached(self, name: str, revision: str | None) -> Path:
        """The path of a file in the cache.

        Raises:
            FileNotFoundError: If it is not there.
        """
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(
            self.repo_id, name, cache_dir=self.cache, revision=revision
        )
        if not isinstance(path, str):
            raise FileNotFoundError(name)
        return Path(path)

    def remember(self, revision: str | None, commit: str) -> None:
        """Notes in the cache which commit a branch was, as huggingface_hub does."""
        if revision == commit:
            return
        folder = f"models--{self.repo_id.replace('/', '--')}"
        reference = self.cache / folder / "refs" / (revision or "main")
        if not reference.is_file() or reference.read_text() != commit:
            reference.parent.mkdir(parents=True, exist_ok=True)
            reference.write_text(commit)


def _is_offline() -> bool:
    from huggingface_hub import constants

    value = os.environ.get("HF_HUB_OFFLINE", "").upper()
    return constants.HF_HUB_OFFLINE or value in ("1", "ON", "YES", "TRUE")
