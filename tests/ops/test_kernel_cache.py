"""The folder of compiled kernels under threads, processes, containers and damage."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keras_involution.ops._cpp import cache, compiler
from tests.marks import one_backend

pytestmark = [
    one_backend,
    pytest.mark.skipif(
        isinstance(compiler._toolchain(), str), reason="It is about a compiler."
    ),
]
# Packages without `__init__.py`, since importing a framework takes seconds.
PROGRAM = """
import sys, types
from pathlib import Path
for name in ("keras_involution", "keras_involution.ops"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [str(Path(sys.argv[2], *name.split(".")))]
import ctypes
from keras_involution.ops._cpp import compiler
path = compiler.compiled(Path(sys.argv[1]), ("-DANSWER=42",))
print(path if isinstance(path, str) else ctypes.CDLL(str(path)).answer())
"""


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "small.cpp"
    path.write_text('extern "C" int answer() { return ANSWER; }\n')
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty user cache, and an empty folder for temporary files."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(cache.tempfile, "tempdir", None)
    monkeypatch.setattr(cache, "_warned", False)
    return tmp_path / "cache" / "keras_involution"


def library(source: Path) -> Path:
    path = compiler.compiled(source, ("-DANSWER=42",))
    assert isinstance(path, Path), path
    return path


def answers_of_processes(source: Path, count: int, *prefix: str) -> list[str]:
    place = Path(compiler.__file__).parents[3]
    command = [*prefix, sys.executable, "-c", PROGRAM, str(source), str(place)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    return [process.communicate(timeout=300)[0].strip() for process in running]


def assert_only_whole_files(folder: Path) -> None:
    names = sorted(path.suffix for path in folder.iterdir() if path.name != ".lock")
    assert names == [".sha256", ".so"]


def test_eight_threads_make_it_once(folder, source, monkeypatch):
    made = []
    compile_ = compiler._compile
    monkeypatch.setattr(compiler, "_compile", lambda *a: (made.append(a), compile_(*a)))
    with ThreadPoolExecutor(8) as threads:
        paths = set(threads.map(lambda _: library(source), range(8)))
    assert len(made) == len(paths) == 1
    assert_only_whole_files(folder)


def test_four_processes_share_a_folder(folder, source):
    assert answers_of_processes(source, 4) == ["42"] * 4
    assert_only_whole_files(folder)


def test_three_containers_share_a_folder(folder, source):
    """Each has process id 1 in its own namespace, as in containers."""
    unshare = ("unshare", "--pid", "--fork")
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"]).returncode:
        pytest.skip("This system makes no namespaces of processes.")
    assert answers_of_processes(source, 3, *unshare) == ["42"] * 3
    assert_only_whole_files(folder)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "half": half,
    "empty": lambda path: path.write_bytes(b""),
    "one bit": flip,
    "no digest": lambda path: path.with_suffix(".sha256").unlink(),
    "wrong digest": lambda path: path.with_suffix(".sha256").write_text("0" * 64),
    "digest of bytes": lambda path: path.with_suffix(".sha256").write_bytes(b"\xff"),
    "others can write": lambda path: path.chmod(0o666),
    "a link": lambda path: (
        path.rename(path.with_name("other")),
        path.symlink_to("other"),
    ),
}
if os.geteuid() == 0:
    DAMAGE["of somebody else"] = lambda path: os.chown(path, 12345, -1)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_library_is_made_again_and_never_loaded(folder, source, damage):
    path = library(source)
    whole = path.read_bytes()
    damage(path)
    # In a separate process, which a truncated library would end with a bus error.
    assert answers_of_processes(source, 1) == ["42"]
    assert path.read_bytes() == whole and not path.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_uid == os.geteuid()


def open_to_others(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)


def link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir(parents=True)
    folder.symlink_to("elsewhere")


UNUSABLE = {
    "open to others": open_to_others,
    "a file": lambda folder: (folder.parent.mkdir(), folder.write_text("")),
    "a link": link,
}
if os.geteuid() == 0:
    UNUSABLE["of somebody else"] = lambda folder: (
        folder.mkdir(parents=True),
        os.chown(folder, 12345, -1),
    )


@pytest.mark.parametrize("spoil", UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_folder_gives_way_to_that_of_temporary_files(folder, source, spoil):
    spoil(folder)
    path = library(source)
    expected = folder.parents[1] / "tmp" / f"keras_involution-{os.geteuid()}"
    assert path.parent == expected
    assert stat.S_IMODE(expected.stat().st_mode) == 0o700
    assert library(source) == path
    assert_only_whole_files(expected)


def test_no_folder_is_a_reason_with_one_warning(folder, source):
    open_to_others(folder)
    open_to_others(folder.parents[1] / "tmp" / f"keras_involution-{os.geteuid()}")
    with pytest.warns(RuntimeWarning, match="the slower 'native' is used") as warned:
        reasons = {compiler.compiled(source, ("-DANSWER=42",)) for _ in range(3)}
    [reason] = reasons
    assert "other users can write to it (mode 777)" in reason and len(warned) == 1


def test_a_folder_that_can_only_be_read_is_used(folder, source, monkeypatch):
    path = library(source)

    def refuse(*arguments, **options):
        raise PermissionError("a read-only file system, says the test")

    for name in ("utime", "mkdir"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(cache.tempfile, "mkdtemp", refuse)
    assert library(source) == path


def test_leftovers_are_removed_when_something_new_is_made(folder, source):
    old = library(source)
    draft = folder / ".draft-of-a-killed-process"
    draft.mkdir()
    (draft / "half.so").write_text("")
    young = folder / ".draft-of-a-running-process"
    young.mkdir()
    long_ago = time.time() - 1e7
    for path in (old, draft):
        os.utime(path, (long_ago, long_ago))
    new = compiler.compiled(source, ("-DANSWER=43",))
    left = {path.name for path in folder.iterdir()}
    digest = new.with_suffix(".sha256").name
    assert left == {".lock", young.name, new.name, digest}


def test_the_name_tells_apart_whatever_the_library_depends_on(
    folder, source, monkeypatch
):
    names = [library(source)]
    names.append(compiler.compiled(source, ("-DANSWER=43",)))
    names.append(compiler.compiled(source, ("-DANSWER=42", "-g")))
    command, identity = compiler._toolchain()
    with monkeypatch.context() as patch:
        patch.setattr(compiler, "_toolchain", lambda: (command, identity + "#AVX9"))
        names.append(library(source))
    with monkeypatch.context() as patch:
        patch.setattr(compiler, "__version__", "99")
        names.append(library(source))
    source.write_text(source.read_text() + "// changed\n")
    names.append(library(source))
    assert len(set(names)) == len(names) == 6


def test_a_fork_while_another_thread_compiles_does_not_hang(folder, source):
    with cache._lock:
        child = os.fork()
        if child == 0:  # The child holds no lock, even if its parent does.
            os._exit(0 if isinstance(library(source), Path) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
