"""README: short, absolute links, and every block runs as pasted in a fresh process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
ADDRESS = "https://github.com/keras-involution/keras-involution/blob/main/"
RAW = "https://raw.githubusercontent.com/keras-involution/keras-involution/main/"
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
LINKS = re.findall(r"\]\(([^)]*)\)", README)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A photo, and a folder of images for two classes."""
    folder = tmp_path_factory.mktemp("readme")
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), "uint8")
    Image.fromarray(pixels).save(folder / "photo.jpg")
    for name in ("cat", "dog"):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(2):
            Image.fromarray(pixels).save(folder / "photos" / name / f"{number}.jpg")
    return folder


def run_block(block: str, folder: Path) -> None:
    """Runs a block as pasted, but on the backend of this run, in a new process."""
    block = block.replace('"jax"', repr(keras.config.backend()))
    result = subprocess.run(
        [sys.executable, "-c", block],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-2000:]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda text: text.splitlines()[-1][:30])
def test_each_block_runs_as_pasted(block, folder):
    run_block(block, folder)


def test_it_is_short_and_complete():
    assert len(README.split()) <= 700
    assert len(BLOCKS) == 3
    for words in ("pip install", "KERAS_BACKEND", "make demo", "make test", "License"):
        assert words in README
    assert README.index("![Six photos") < README.index("## Install")
    headings = re.findall(r"^#+ .*", README, re.MULTILINE)
    assert len(headings) == len(set(headings))


def test_links_are_absolute_and_lead_to_files():
    assert len(LINKS) > 8
    for link in LINKS:
        assert link.startswith("https://"), link
        for beginning in (ADDRESS, RAW):
            if link.startswith(beginning):
                path = ROOT / link.removeprefix(beginning).partition("#")[0]
                assert path.exists(), link
