"""The files of a preset, which are fetched on demand."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_involution._files import reading
from keras_involution.hub._documents import read_json
from keras_involution.hub._format import BACKBONE_WEIGHTS_FILE, SHARD_INDEX_FILE
from keras_involution.hub._weights import shard_names


@dataclass(frozen=True)
class Source:
    """The files of a preset.

    Attributes:
        preset: The name, folder or handle that the caller passed.
        folder: Local folder of the files. `fetch` downloads remote files to it.
        sizes: Dictionary of file name -> size in bytes, for every file of the preset.
        fetch: Function that brings the files with the given names into the folder.
    """

    preset: str
    folder: Path
    sizes: dict[str, int]
    fetch: Callable[[Sequence[str]], object]

    def has(self, name: str) -> bool:
        return name in self.sizes

    def json(self, name: str) -> dict[str, Any]:
        return read_json(self._there(name))

    def backbone_weights(self) -> list[str]:
        """The name of the weights file, or the names of its shards."""
        if self.has(BACKBONE_WEIGHTS_FILE) or not self.has(SHARD_INDEX_FILE):
            return [BACKBONE_WEIGHTS_FILE]
        return shard_names(self._there(SHARD_INDEX_FILE))

    def files(self, names: Sequence[str]) -> list[Path]:
        if missing := [name for name in names if not self.has(name)]:
            raise ValueError(f"{missing[0]} is missing")
        self.fetch(names)
        return [self.folder / name for name in names]

    def _there(self, name: str) -> Path:
        if self.has(name):
            self.fetch([name])
        return self.folder / name

    @contextlib.contextmanager
    def damage_reported(self, name: str) -> Iterator[None]:
        """Converts every failure to a `PresetError` with the name of the file."""
        with reading(self.preset, f"The preset's {name}", PresetError, "preset"):
            yield


class PresetError(ValueError):
    """A preset cannot be found, downloaded or used; the message gives the reason."""


def local_source(folder: Path, preset: str) -> Source:
    """The source of a preset in a local folder."""
    sizes = {
        entry.name: entry.stat().st_size
        for entry in folder.iterdir()
        if entry.is_file()
    }
    return Source(preset, folder, sizes, lambda names: None)
