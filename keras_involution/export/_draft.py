"""Writes exported files and folders completely or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keras_involution._arguments import received
from keras_involution.hub._folder import complete_folder

# The files that TensorFlow writes into the folder of a SavedModel.
_REPLACED = frozenset({"saved_model.pb", "fingerprint.pb", "variables", "assets"})
_KNOWN_BY = ("saved_model.pb",)


@contextlib.contextmanager
def complete(path: Path, is_folder: bool) -> Iterator[Path]:
    """Yields a temporary path whose contents replace `path` at the end of the block."""
    check_place(path, is_folder)
    if is_folder:
        with complete_folder(path, _REPLACED, "a SavedModel", _KNOWN_BY) as draft:
            yield draft
        return
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        draft = folder / path.name
        yield draft
        # OpenVINO writes the weights to a second file. `path` itself is moved last.
        for file in sorted(folder.iterdir(), key=lambda file: file == draft):
            os.replace(file, path.parent / file.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_place(path: Path, is_folder: bool) -> None:
    """Raises `ValueError` if `path` cannot be written, before the export starts."""
    if not path.parent.is_dir():
        raise ValueError(
            "The folder to write into does not exist, or is a file. "
            + received(path=str(path))
        )
    if path.exists() and path.is_dir() != is_folder:
        kind = "a file, and a folder is" if is_folder else "a folder, and a file is"
        raise ValueError(
            f"The path is {kind} to be written. {received(path=str(path))}"
        )
