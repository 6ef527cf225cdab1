"""The choice among the prebuilt libraries of a wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_involution.ops._cpp import compiler, loading, prebuilt
from tests.marks import one_backend

pytestmark = one_backend


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with the library names of a wheel, as empty files."""
    monkeypatch.setattr(prebuilt, "FOLDER", tmp_path)
    for level in prebuilt.LEVELS:
        (tmp_path / prebuilt.name(loading.SOURCE, level)).touch()
    return tmp_path


def on_processor(monkeypatch, *flags: str) -> None:
    monkeypatch.setattr(prebuilt, "_processor_flags", lambda: frozenset(flags))


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ((), "x86-64"),
        (("sse2", "avx2"), "x86-64"),  # A virtual machine may hide features.
        (prebuilt.LEVELS["x86-64-v3"], "x86-64-v3"),
        (prebuilt.LEVELS["x86-64-v3"] | {"avx512f"}, "x86-64-v3"),
        (prebuilt.LEVELS["x86-64-v4"], "x86-64-v4"),
    ],
)
def test_the_best_that_the_processor_knows_is_taken(folder, monkeypatch, flags, level):
    on_processor(monkeypatch, *flags, "fpu")
    assert prebuilt.library(loading.SOURCE) == folder / f"involution-{level}.so"


def test_other_files_have_none(folder, monkeypatch, tmp_path):
    on_processor(monkeypatch)
    assert prebuilt.library(tmp_path / "involution.cpp") is None
    (folder / "involution-x86-64.so").unlink()
    assert prebuilt.library(loading.SOURCE) is None


def test_every_source_of_the_package_is_listed():
    package = Path(prebuilt.__file__).parents[2]
    assert set(prebuilt.SOURCES) == set(package.rglob("*.cpp"))


class TestLoaded:
    """A library of the wheel is loaded, or replaced by a compiled one."""

    @pytest.fixture(autouse=True)
    def compilations(self, folder, monkeypatch, tmp_path):
        on_processor(monkeypatch)
        self.compiled: list[Path] = []

        def compile_(source: Path, options: tuple[str, ...]) -> Path:
            self.compiled.append(source)
            return tmp_path / "compiled.so"

        monkeypatch.setattr(compiler, "compiled", compile_)

    def test_nothing_is_compiled(self, folder):
        found = compiler.loaded(lambda path: path, loading.SOURCE)
        assert found == folder / "involution-x86-64.so" and not self.compiled

    def test_one_that_cannot_be_loaded_gives_way(self, tmp_path):
        def load(path: Path) -> Path | str:
            return path if path.name == "compiled.so" else "Refused, says the test."

        assert compiler.loaded(load, loading.SOURCE) == tmp_path / "compiled.so"

    def test_both_reasons_are_told(self, monkeypatch):
        monkeypatch.setattr(compiler, "compiled", lambda *_: "No compiler.")
        reason = compiler.loaded(lambda path: "Refused.", loading.SOURCE)
        assert reason == "Refused. No compiler."

    def test_no_library_is_compiled(self, folder, tmp_path):
        (folder / "involution-x86-64.so").unlink()
        found = compiler.loaded(lambda path: path, loading.SOURCE)
        assert found == tmp_path / "compiled.so"
