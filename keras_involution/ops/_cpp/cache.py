"""Folders of compiled libraries that are safe to load.

Loading a library runs its code. A file is therefore loaded only if no other user can
write to it or to its folder, and only if its content has the digest that was stored
when it was compiled. Threads, processes and containers that share a folder compile a
library once: a lock keeps the others waiting. The library is written to a draft folder
with a random name and then moved into place, so a crash leaves no partial file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

# The longest time that one compilation takes on a busy machine. A process does not wait
# longer for another one: compiling twice is harmless.
_LOCK_SECONDS = 300
_OLD_DRAFT_SECONDS = 3600
_UNUSED_SECONDS = 60 * 24 * 3600

_lock = threading.Lock()
_warned = False


class CompilerError(Exception):
    """The library cannot be compiled in any folder."""


class _Unusable(Exception):
    """This folder cannot be used; another one might work."""


def library_file(name: str, make: Callable[[Path], None]) -> Path | str:
    """The file of a library that is safe to load, or the reason there is none.

    Args:
        name: File name. It depends on everything that the content depends on.
        make: Function that writes the library to a path, or raises `CompilerError`.
    """
    reasons = []
    with _lock:
        for folder in _folders():
            try:
                return _in_folder(folder, name, make)
            except CompilerError as error:
                return str(error)
            except (_Unusable, OSError, NotImplementedError) as error:
                reasons.append(f"{folder}: {error}")
    reason = f"No folder can hold the compiled library ({'; '.join(reasons)})."
    _warn_once(reason)
    return reason


def _folders() -> Iterator[Path]:
    """The user's cache, then a folder of this user in the temporary directory."""
    base = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):  # a user without a home directory
        yield Path(base or Path.home() / ".cache") / "keras_involution"
    yield Path(tempfile.gettempdir()) / f"keras_involution-{os.geteuid()}"


def _in_folder(folder: Path, name: str, make: Callable[[Path], None]) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_folder(folder)
    path = folder / name
    if _is_whole(path):
        with contextlib.suppress(OSError):  # a read-only folder
            os.utime(path)
        return path
    with _locked(folder):
        if not _is_whole(path):
            _remove_leftovers(folder)
            _write(path, make)
    return path


def _check_folder(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise _Unusable("it is not a folder")
    if (reason := _distrust(status)) is not None:
        raise _Unusable(reason)
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise _Unusable("its file system does not allow executable files (noexec)")


def _distrust(status: os.stat_result) -> str | None:
    if status.st_uid not in (os.geteuid(), 0):
        return f"it belongs to user {status.st_uid}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"other users can write to it (mode {stat.S_IMODE(status.st_mode):o})"
    return None


def _is_whole(path: Path) -> bool:
    """Whether the library exists, is ours, and has the digest stored with it."""
    digest = _digest_file(path)
    try:
        for file in (path, digest):
            status = file.lstat()
            if not stat.S_ISREG(status.st_mode) or _distrust(status) is not None:
                return False
        return digest.read_text() == _digest(path)
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _digest_file(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / ".lock", timeout=_LOCK_SECONDS, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _write(path: Path, make: Callable[[Path], None]) -> None:
    """Moves the library into place once it is on disk, then its digest."""
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=path.parent))
    try:
        library, digest = draft / path.name, _digest_file(draft / path.name)
        make(library)
        digest.write_text(_digest(library))
        for file in (library, digest):
            file.chmod(0o600)
            _sync(file)
            file.replace(path.parent / file.name)
        _sync(path.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(folder: Path) -> None:
    """Removes drafts of killed processes and libraries that are no longer used."""
    now = time.time()
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            age = now - path.lstat().st_mtime
            if path.name.startswith(".draft-") and age > _OLD_DRAFT_SECONDS:
                shutil.rmtree(path)
            elif path.suffix == ".so" and age > _UNUSED_SECONDS:
                path.unlink()
                _digest_file(path).unlink()


def _warn_once(reason: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"The implementation 'cpp' cannot be used; the slower 'native' is used "
            f"instead. {reason}",
            RuntimeWarning,
            stacklevel=2,
        )


def _new_lock() -> None:
    """Gives a forked process a free lock, even if another thread held it."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)
