"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_involution._arguments import received


@contextlib.contextmanager
def replaced_file(
    path: str | Path, force: bool = False, suffixes: Sequence[str] = ()
) -> Iterator[Path]:
    """A draft beside `path` that takes its place when the block ends well.

    The draft has the suffix of `path`. Until it is complete the old file stays; after
    an error the draft is removed.

    Raises:
        ValueError: If `path` is there and `force` is false, is a folder, or does not
            end in one of `suffixes`, where there are any.
    """
    path = Path(path)
    if suffixes:
        known_suffix(path, suffixes)
    check_writable(path, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}.keras_involution_draft."
    _remove_old_drafts(path.parent, prefix)
    handle, name = tempfile.mkstemp(path.suffix, prefix, path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        draft.chmod(0o666 & ~_umask())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 in place of what is there, with the ends of lines as they are."""
    with replaced_file(path, force=True) as draft:
        draft.write_text(text, "utf-8", newline="")


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
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    reason = "is no folder" if not folder.is_dir() else ""
    if not reason and not os.access(folder, os.W_OK | os.X_OK):
        reason = "may not be written to"
    if reason:
        raise ValueError(f"{folder} {reason}. {received(path=str(path))}")


def check_outputs(
    force: bool,
    *inputs: str | Path | None,
    **outputs: tuple[str | Path | None, Sequence[str]],
) -> None:
    """`check_writable` for all files that a command is to write, before its work.

    Raises:
        ValueError: Also if a name has none of its suffixes, stands twice, or is that of
            one of the `inputs`, which something else would replace.
    """
    places: dict[str, str] = {}
    read = {os.path.realpath(path) for path in inputs if path is not None}
    for name, (path, suffixes) in outputs.items():
        if path is None:
            continue
        known_suffix(path, suffixes)
        check_writable(path, force)
        place = os.path.realpath(path)
        if place in places:
            raise ValueError(
                f"`{places[place]}` and `{name}` are one and the same file. "
                + received(**{name: str(path)})
            )
        if place in read:
            raise ValueError(
                f"`{name}` would replace a file that the command reads. "
                + received(**{name: str(path)})
            )
        places[place] = name


def known_suffix(path: str | Path, suffixes: Sequence[str]) -> str:
    """The suffix in small letters; raises `ValueError` if it is none of `suffixes`."""
    suffix = Path(path).suffix.lower()
    if suffix not in suffixes:
        *others, last = suffixes
        names = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(
            f"The name of the file must end in {names}. {received(path=str(path))}"
        )
    return suffix


def _remove_old_drafts(folder: Path, prefix: str) -> None:
    """Removes what processes that were killed have left, a day later."""
    for entry in folder.glob(f"{glob.escape(prefix)}*"):
        if time.time() - entry.stat().st_mtime > 86_400:
            entry.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
