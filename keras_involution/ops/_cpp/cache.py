"""Folders of compiled libraries that are safe to load.

Loading a library runs its code, so a file is loaded only from a folder and with a mode
that let nobody else write it, and only if its content has the digest that was stored
when it was made. Threads, processes and containers that share a folder make a library
once: a lock keeps the others waiting. The work is done in a draft folder of a random
name and the finished file moved into place, so a crash leaves nothing half written.
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

# The longest that one compilation takes on a busy machine. After it a process no longer
# waits for another: doing the work twice is harmless.
_LOCK_SECONDS = 300
_OLD_DRAFT_SECONDS = 3600
_UNUSED_SECONDS = 60 * 24 * 3600

_lock = threading.Lock()
_warned = False


class CompilerError(Exception):
    """The library cannot be made, in whichever folder."""


class _Unusable(Exception):
    """This folder cannot be used; another may do."""


def library_file(name: str, make: Callable[[Path], None]) -> Path | str:
    """The file of a library that is safe to load, or the reason why there is none.

    Args:
        name: Of the file. It depends on all that the content depends on.
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
    reason = f"No folder can keep the compiled library ({'; '.join(reasons)})."
    _warn_once(reason)
    return reason


def _folders() -> Iterator[Path]:
    """The user's cache, then one folder of this user among the temporary files."""
    base = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield Path(base or Path.home() / ".cache") / "keras_involution"
    yield Path(tempfile.gettempdir()) / f"keras_involution-{os.geteuid()}"


def _in_folder(folder: Path, name: str, make: Callable[[Path], None]) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_folder(folder)
    path = folder / name
    if _is_whole(path):
        with contextlib.suppress(OSError):  # a folder that is only read
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
        raise _Unusable("its file system does not let programs run")


def _distrust(status: os.stat_result) -> str | None:
    if status.st_uid not in (os.geteuid(), 0):
        return f"it belongs to the user {status.st_uid}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others may write to it (mode {stat.S_IMODE(status.st_mode):o})"
    return None


def _is_whole(path: Path) -> bool:
    """Whether the library is there, is ours, and has the digest of when it was made."""
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
    """Moves the library into place when it is on the disk, then its digest."""
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
    """Drafts of processes that were killed, and libraries that nobody uses any more."""
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
            f"The implementation 'cpp' cannot be used, and 'native' computes instead, "
            f"more slowly. {reason}",
            RuntimeWarning,
            stacklevel=2,
        )


def _new_lock() -> None:
    """A process that was forked while another thread held the lock starts free."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)
