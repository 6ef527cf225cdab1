"""Writes a folder completely or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keras_involution._arguments import received
from keras_involution.hub._format import CONFIG_FILE, PRESET_FILES


@contextlib.contextmanager
def complete_folder(folder: str | Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `folder` when the block ends well.

    Files of an existing preset that are no preset files, a model card say, come along.
    """
    folder = Path(folder)
    _check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        draft.chmod(0o777 & ~_umask())
        yield draft
        _keep_other_files(folder, draft)
        _swap(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _check_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"The preset folder is a file. {received(folder=str(folder))}")
    if any(folder.iterdir()) and not (folder / CONFIG_FILE).is_file():
        raise ValueError(
            "The folder holds other files than a preset, so it is left alone; name a "
            f"new or an empty folder. {received(folder=str(folder))}"
        )


def _keep_other_files(folder: Path, draft: Path) -> None:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.name in PRESET_FILES:
            continue
        if entry.is_dir():
            shutil.copytree(entry, draft / entry.name, symlinks=True)
        else:
            shutil.copy2(entry, draft / entry.name, follow_symlinks=False)


def _swap(draft: Path, folder: Path) -> None:
    if not folder.exists():
        os.rename(draft, folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    os.rename(folder, old / folder.name)
    os.rename(draft, folder)
    shutil.rmtree(old)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
