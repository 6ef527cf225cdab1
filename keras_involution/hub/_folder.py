"""Writes a folder completely or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from keras_involution._arguments import received
from keras_involution._files import umask
from keras_involution.hub._format import CONFIG_FILE, TASK_FILE, is_shard

_LINUX = sys.platform == "linux"
# Linux constants: AT_FDCWD and RENAME_EXCHANGE.
_HERE, _RENAME_EXCHANGE = -100, 2


@contextlib.contextmanager
def complete_folder(
    folder: str | Path,
    replaced: frozenset[str],
    kind: str = "a preset",
    known_by: tuple[str, ...] = (CONFIG_FILE, TASK_FILE),
) -> Iterator[Path]:
    """Yields a temporary folder that replaces `folder` at the end of the block.

    Files of an existing preset that are not in `replaced`, such as a model card, are
    kept. An existing folder must be empty or contain one of the files in `known_by`.
    """
    folder = Path(os.path.realpath(folder))
    _check_replaceable(folder, kind, known_by)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_old_drafts(folder)
    draft = Path(tempfile.mkdtemp(prefix=_prefix(folder), dir=folder.parent))
    try:
        draft.chmod(0o777 & ~umask())
        yield draft
        _keep_other_files(folder, draft, replaced)
        _swap(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _remove_old_drafts(folder: Path) -> None:
    """Removes temporary folders of killed processes that are more than a day old."""
    for entry in folder.parent.glob(f"{glob.escape(_prefix(folder))}*"):
        if time.time() - entry.stat().st_mtime > 86_400:
            shutil.rmtree(entry, ignore_errors=True)


def _prefix(folder: Path) -> str:
    """The prefix of temporary folders, which no folder of the user has."""
    return f".{folder.name}.keras_involution_draft."


def _check_replaceable(folder: Path, kind: str, known_by: tuple[str, ...]) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(
            f"The folder for {kind} is a file. {received(folder=str(folder))}"
        )
    is_known = any((folder / name).is_file() for name in known_by)
    if any(folder.iterdir()) and not is_known:
        raise ValueError(
            f"The folder holds files other than {kind}, so it is not changed; use a "
            f"new or an empty folder. {received(folder=str(folder))}"
        )


def _keep_other_files(folder: Path, draft: Path, replaced: frozenset[str]) -> None:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.name in replaced or is_shard(entry.name):
            continue
        if entry.is_dir():
            shutil.copytree(entry, draft / entry.name, symlinks=True)
        else:
            shutil.copy2(entry, draft / entry.name, follow_symlinks=False)


def _swap(draft: Path, folder: Path) -> None:
    if not folder.exists():
        os.rename(draft, folder)
    elif _exchange(draft, folder):
        shutil.rmtree(draft, ignore_errors=True)
    else:
        _replace(folder, draft)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps two folders atomically if the system supports it; returns whether it did.

    If the process is killed, either the old or the new preset exists.
    """
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if _LINUX else None
    if rename is None:
        return False
    paths = os.fsencode(one), os.fsencode(other)
    return rename(_HERE, paths[0], _HERE, paths[1], _RENAME_EXCHANGE) == 0


def _replace(folder: Path, draft: Path) -> None:
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    os.rename(folder, old / folder.name)
    try:
        os.rename(draft, folder)
    except BaseException:
        os.rename(old / folder.name, folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
