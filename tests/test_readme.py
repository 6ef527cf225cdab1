"""The code blocks of the README run as they stand, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from keras_involution import RedNetBackbone
from tests.marks import one_backend

README = Path(__file__).parents[1] / "README.md"


def code_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def test_the_first_screen_shows_what_matters():
    first = README.read_text("utf-8").split("## ")[0]
    for words in ("make demo", "make test", "Involution2D(", "from_preset("):
        assert words in first


@pytest.fixture
def narrow(monkeypatch):
    """The published depths with narrow stages and small windows compile in seconds."""
    from_depth = RedNetBackbone.from_depth

    def of_narrow_stages(cls, depth: int, **kwargs) -> RedNetBackbone:
        return from_depth(
            depth,
            stackwise_num_filters=(8, 8, 16, 16),
            kernel_size=3,
            group_channels=4,
            **kwargs,
        )

    monkeypatch.setattr(RedNetBackbone, "from_depth", classmethod(of_narrow_stages))


@one_backend
def test_code_blocks_run(tmp_path, monkeypatch, narrow):
    monkeypatch.chdir(tmp_path)
    names = {
        "photograph": np.zeros((60, 80, 3), "uint8"),
        "images": np.zeros((2, 32, 32, 3), "uint8"),
        "labels": np.array([0, 9]),
        "names": [f"class {i}" for i in range(10)],
    }
    blocks = code_blocks()
    assert len(blocks) >= 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert Path("my_rednet_26/config.json").is_file()
