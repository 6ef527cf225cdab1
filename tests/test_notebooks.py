"""The notebooks: their cells match the guides, and every notebook runs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.marks import one_backend

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "docs" / "write_notebooks.py"
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
NAMES = [guide.stem for guide in GUIDES]
pytestmark = one_backend


@pytest.fixture(scope="module")
def writer():
    spec = importlib.util.spec_from_file_location("write_notebooks", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(folder: Path, name: str) -> nbformat.NotebookNode:
    notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_there_is_a_notebook_for_each_guide():
    notebooks = (ROOT / "docs" / "notebooks").glob("*.ipynb")
    assert sorted(path.stem for path in notebooks) == NAMES
    assert len(NAMES) == 6


@pytest.mark.parametrize("guide", GUIDES, ids=NAMES)
def test_the_cells_are_those_of_the_guide(guide, writer):
    kept = read(writer.NOTEBOOKS, guide.stem)
    written = writer.notebook_of(guide)
    assert [c.source for c in kept.cells] == [c.source for c in written.cells], (
        "run python docs/write_notebooks.py"
    )
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert "KERAS_BACKEND" in code[0].source
    assert all(cell.execution_count for cell in code)
    assert "colab" in kept.cells[0].source and "kaggle" in kept.cells[0].source


@pytest.mark.parametrize("name", NAMES)
def test_each_notebook_runs(name, tmp_path):
    # As a program: a kernel keeps sockets and threads, which fail tests.
    command = (
        "import pathlib, runpy\n"
        f"run = runpy.run_path({str(SCRIPT)!r})\n"
        f"run['main']([{name!r}], pathlib.Path({str(tmp_path)!r}))"
    )
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    environment["PYTHONPATH"] = str(ROOT)
    # The notebooks keep their files, for their readers.
    environment["TMPDIR"] = str(tmp_path)
    result = subprocess.run(
        [sys.executable, "-c", command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    code = [c for c in read(tmp_path, name).cells if c.cell_type == "code"]
    assert any(cell.outputs for cell in code)
