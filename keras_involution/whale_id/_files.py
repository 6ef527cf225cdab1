"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keras_involution._arguments import received


@contextlib.contextmanager
def replaced_file(path: str | Path, force: bool = False) -> Iterator[Path]:
    """A draft beside `path` that takes its place when the block ends well.

    The draft has the suffix of `path`. Until it is complete the old file stays; after
    an error the draft is removed.

    Raises:
        ValueError: If `path` is there and `force` is false, or is a folder.
    """
    path = Path(path)
    check_writable(path, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(path.suffix, f".{path.stem}.draft.", path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        draft.chmod(0o666 & ~_umask())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def check_writable(path: str | Path, force: bool) -> None:
    """Refuses to overwrite: to be asked before the work, not after it."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"The output is a folder. {received(path=str(path))}")
    if path.exists() and not force:
        raise ValueError(
            "The file exists; `force` (`--force`) replaces it. "
            f"{received(path=str(path))}"
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
