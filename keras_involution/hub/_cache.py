"""The cache of downloaded checkpoints and the presets converted from them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from keras_involution._arguments import received
from keras_involution.hub._locks import locked
from keras_involution.hub._source import PresetError

VARIABLE = "KERAS_INVOLUTION_CACHE"
# Increased when a new version must not use presets that were converted earlier.
_FORMAT = 1


@dataclass(frozen=True)
class Cache:
    """The cache folder for checkpoints and converted presets.

    Attributes:
        root: Path of the folder.
    """

    root: Path

    @classmethod
    def of(cls, cache_dir: str | Path | None) -> Cache:
        """The cache in `cache_dir`, in `KERAS_INVOLUTION_CACHE`, or of the system."""
        chosen = cache_dir or os.environ.get(VARIABLE)
        return cls(
            Path(chosen or platformdirs.user_cache_dir("keras_involution"))
            .expanduser()
            .absolute()
        )

    def preset(self, name: str) -> Path:
        """The folder of a converted preset."""
        return self.root / f"presets-{_FORMAT}" / name

    def checkpoint(self, name: str, file: str) -> Path:
        """The file of a checkpoint, downloaded or copied there by the user."""
        return self.root / "checkpoints" / name / file

    def record(self, name: str) -> Path:
        """The file with the hash that a checkpoint had at first use."""
        return self.root / "checkpoints" / name / "first_use.json"

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Holds the lock of a checkpoint, so that other processes wait.

        Raises:
            PresetError: If the folder is not writable, or another process holds the
                lock for too long.
        """
        path = self.root / "locks" / f"{name}.lock"
        with contextlib.ExitStack() as stack:
            with self.writable():
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(path))
            yield

    @contextlib.contextmanager
    def writable(self) -> Iterator[None]:
        """Converts write errors to a `PresetError` that says what to do."""
        try:
            yield
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            raise self._not_writable(error) from error
        except OSError as error:
            if error.errno not in (30, 38, 95):  # Read-only, or no locks supported.
                raise
            raise self._not_writable(error) from error

    def _not_writable(self, error: OSError) -> PresetError:
        return PresetError(
            f"The cache is not writable ({error.strerror}). Set another folder with "
            f"`cache_dir` or the environment variable {VARIABLE}. "
            + received(cache_dir=str(self.root))
        )
