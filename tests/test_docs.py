"""The documentation: code blocks run, links work, and the reference is up to date."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import keras
import pytest

from tests.marks import one_backend
from tests.test_readme import folder as folder
from tests.test_readme import run_block

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
BLOCKS = [
    pytest.param(block, id=f"{page}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    )
]
# The blocks are divided among the backends of a run. Those of the README run on each.
BACKEND = keras.config.backend()
SHARED = os.environ.get("KERAS_INVOLUTION_TEST_BACKENDS", BACKEND).split()


@pytest.mark.parametrize("block", BLOCKS[SHARED.index(BACKEND) :: len(SHARED)])
def test_each_block_runs_as_pasted(block, folder):
    run_block(block, folder)


class Anchors(HTMLParser):
    """Collects the anchors and links of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.names.add(attributes.get("id"))
        self.links += [attributes[n] for n in ("href", "src") if attributes.get(n)]


@one_backend
def test_the_site_builds_without_warnings_and_its_links_lead_somewhere(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q"]
    result = subprocess.run(
        [*command, "-d", tmp_path / "doctrees", DOCS, tmp_path / "site"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    pages = {path: Anchors(path) for path in (tmp_path / "site").rglob("*.html")}
    assert len(pages) > len(PAGES)
    for page, anchors in pages.items():
        for link in anchors.links:
            address, _, name = link.partition("#")
            if ":" in address:
                continue
            path = address.partition("?")[0]
            target = (page.parent / unquote(path)).resolve() if path else page
            assert target.exists(), (page.name, link)
            assert not name or name in pages[target].names, (page.name, link)


@one_backend
@pytest.mark.parametrize("page", ["api.md", "reference.md", "commands.md"])
def test_the_written_pages_are_current(page):
    path = DOCS / "write_reference.py"
    spec = importlib.util.spec_from_file_location("write_reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (DOCS / page).read_text("utf-8")
    assert written == module.PAGES[page](), "run python docs/write_reference.py"
