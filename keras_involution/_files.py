"""Writes files completely or not at all, and reads them with one kind of error."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_involution._arguments import received

_LONGEST_REASON = 300


class DiskFullError(OSError):
    """A file does not fit on its disk. The message has the needed and free bytes."""


@contextlib.contextmanager
def reading(
    path: str | Path,
    what: str,
    error: type[Exception] = ValueError,
    name: str = "path",
) -> Iterator[None]:
    """Converts every failure in the block to `error`, with the file and the reason.

    Libraries raise many kinds of errors for a damaged file: `NotImplementedError`,
    `MemoryError`, `RecursionError`, `AssertionError`, panics of native code. All
    readers of this package call them inside this block, so that callers have one error
    to catch.

    Args:
        path: Path of the file.
        what: String, the content of the file, which starts the message, such as
            `"The embeddings"`.
        error: Exception class that the reader documents.
        name: String, name of the argument that holds `path`.

    Raises:
        error: If the block fails. Exceptions that are not failures, such as
            `KeyboardInterrupt`, and `ImportError` pass through.

    Example:

    >>> from keras_involution._files import reading
    >>> with reading("a.json", "The settings"):
    ...     raise RecursionError("too deep")
    Traceback (most recent call last):
    ...
    ValueError: The settings cannot be read: too deep. Received: path='a.json'
    """
    try:
        yield
    except BaseException as cause:
        if isinstance(cause, ImportError) or not _is_failure(cause):
            raise
        if error is not ValueError and isinstance(cause, error):
            raise  # The message is complete already.
        raise error(
            f"{what} cannot be read: {_shortened(str(cause), cause)}. "
            + received(**{name: str(path)})
        ) from cause


def npz_arrays(file: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of an open .npz file, by name.

    Raises:
        ValueError: If a member has no valid header. NumPy returns it as bytes.
    """
    arrays = {name: file[name] for name in file}
    if lost := [name for name, array in arrays.items() if isinstance(array, bytes)]:
        raise ValueError(f"{lost[0]} is not an array")
    return arrays


def _is_failure(cause: BaseException) -> bool:
    """Whether `cause` is a failure. Rust panics are not subclasses of `Exception`."""
    return isinstance(cause, Exception) or type(cause).__name__ == "PanicException"


def _shortened(reason: str, cause: BaseException) -> str:
    """The first line of the message, or the class of the error if it has no message."""
    line = " ".join(reason.split()).rstrip(".")
    if isinstance(cause, KeyError):
        line = f"{line} is missing"
    if isinstance(cause, FileNotFoundError):
        return "there is no such file"
    if isinstance(cause, OSError) and cause.strerror:
        line = cause.strerror
    if len(line) > _LONGEST_REASON:
        line = line[:_LONGEST_REASON] + "..."
    return line or type(cause).__name__


@contextlib.contextmanager
def atomic_write(
    path: str | Path,
    force: bool = False,
    suffixes: Sequence[str] = (),
    size: int | None = None,
) -> Iterator[Path]:
    """Yields a temporary path that replaces `path` at the end of the block.

    The temporary file has the suffix of `path`. An existing file stays until the block
    ends without an error. After an error the temporary file is removed.

    Args:
        path: Path of the file.
        force: Boolean, whether to replace an existing file.
        suffixes: Sequence of strings; the name must end in one of them. Empty allows
            any name.
        size: Integer, size of the file in bytes, if known. The free space on the disk
            is checked before the block begins.

    Yields:
        Path of the temporary file.

    Raises:
        ValueError: If `path` exists and `force` is false, is a folder, or does not end
            in one of `suffixes`.
        DiskFullError: If the file does not fit on the disk.
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
        _check_space(path, size)
        yield draft
        draft.chmod(0o666 & ~umask())
        os.replace(draft, path)
    except BaseException as error:
        written = draft.stat().st_size if draft.exists() else 0
        draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and is_disk_full(error):
            raise disk_full(path, size or written) from error
        raise


def _check_space(path: Path, size: int | None) -> None:
    if size is not None and size > shutil.disk_usage(path.parent).free:
        raise disk_full(path, size)


def is_disk_full(error: OSError) -> bool:
    """Whether a system error means that a disk is full."""
    if isinstance(error, DiskFullError):
        return False
    # HDF5 reports only the text, without the error number.
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or "No space left" in str(error)


def disk_full(path: Path, needed: int) -> DiskFullError:
    """The error for a file of `needed` bytes that the disk of `path` cannot hold."""
    free = shutil.disk_usage(path.parent).free
    return DiskFullError(
        f"The disk is too full for {path}: the file needs at least {needed:,} bytes, "
        f"but only {free:,} bytes are free. {received(path=str(path))}"
    )


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 text, replacing an existing file. Line endings are not changed."""
    with atomic_write(path, force=True) as draft:
        draft.write_text(text, "utf-8", newline="")


def check_writable(path: str | Path, force: bool) -> None:
    """Checks that an output can be written, before the work that produces it."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"The output is a folder. {received(path=str(path))}")
    if path.exists() and not force:
        raise ValueError(
            "The file exists; `force` (`--force`) replaces it. "
            f"{received(path=str(path))}"
        )
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    reason = "is not a folder" if not folder.is_dir() else ""
    if not reason and not os.access(folder, os.W_OK | os.X_OK):
        reason = "is not writable"
    if reason:
        raise ValueError(f"{folder} {reason}. {received(path=str(path))}")


def check_outputs(
    force: bool,
    *inputs: str | Path | None,
    **outputs: tuple[str | Path | None, Sequence[str]],
) -> None:
    """Calls `check_writable` for all files that a command will write.

    Raises:
        ValueError: If a file is not writable, its name has none of its suffixes or is
            given twice, or it would replace one of the `inputs`.
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
                f"`{places[place]}` and `{name}` are the same file. "
                + received(**{name: str(path)})
            )
        if place in read:
            raise ValueError(
                f"`{name}` would replace a file that the command reads. "
                + received(**{name: str(path)})
            )
        places[place] = name


def known_suffix(path: str | Path, suffixes: Sequence[str]) -> str:
    """The suffix in lower case. Raises `ValueError` if it is not in `suffixes`."""
    suffix = Path(path).suffix.lower()
    if suffix not in suffixes:
        *others, last = suffixes
        names = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(
            f"The name of the file must end in {names}. {received(path=str(path))}"
        )
    return suffix


def _remove_old_drafts(folder: Path, prefix: str) -> None:
    """Removes temporary files of killed processes that are more than a day old."""
    for entry in folder.glob(f"{glob.escape(prefix)}*"):
        if time.time() - entry.stat().st_mtime > 86_400:
            entry.unlink(missing_ok=True)


def umask() -> int:
    """The umask of the process, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
