"""The numbers in questions.md, why.md and other pages match their sources."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import keras
from PIL import Image

from tests.marks import one_backend

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
pytestmark = one_backend


def text_of(page: Path | str) -> str:
    return (DOCS / page).read_text("utf-8")


def test_there_are_twenty_questions_with_an_answer_each():
    rows = re.findall(r"^\| (\d+)\. (.*\?) \| (.*) \|$", text_of("questions.md"), re.M)
    assert [int(number) for number, _, _ in rows] == list(range(1, 21))
    assert len({question for _, question, _ in rows}) == 20
    assert all(re.fullmatch(r"\[.+\]\(.+\)", answer) for _, _, answer in rows)


# Text of why.md -> text of RESULTS.md with the same number.
CLAIMS = {
    "0.66 of its operations": "The operations are 0.66 of",
    "0.67 (PyTorch)": "**0.67 / 0.76** of the time on PyTorch",
    "0.75 (JAX)": "**0.75 / 1.05** on JAX",
    "0.70 (TensorFlow)": "**0.70 / 0.76** on TensorFlow",
    "it is 0.76, 1.05 and 0.76": "0.67 / 0.76** of the time on PyTorch, **0.75 / 1.05",
    "PyTorch took 1.19 and 1.20 of the time": "RedNet-50 took 1.19 / 1.20 of its time",
    "28 to 423 times faster": "108 to 423 and 67 to 74 times faster than unfold",
    "Pretrained at 64 pixels": 'The seals of "Whale identification", at 64 pixels',
    "0.91 ± 0.01 on caltech101-mini": "| `rednet_26_tiny_imagenet` | 0.91 ± 0.01 |",
    "0.74 ± 0.03 from random": "| RedNet-26, random weights | 0.74 ± 0.03 |",
    "MAP@5 0.823 (0.778 to 0.865, 260": "missed) | 0.823 | 0.778 to 0.865 | 260 |",
    "database it is 0.732 (0.667 to 0.796, 150": "| 0.732 | 0.667 to 0.796 | 150 |",
}


def test_why_is_short_and_its_numbers_stand_in_the_results():
    text = " ".join(re.sub(r"\(https://\S+\)", "", text_of("why.md")).split())
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
    assert len(text.split()) <= 320
    for claim, source in CLAIMS.items():
        assert claim in text
        assert source in " ".join(results.split())
        text = text.replace(claim, "")
    names = (
        r"ResNet-\d+|RedNet-\d+|ResNet50|rednet_26_tiny_imagenet|MAP@5|those of 2021"
        r"|Zen 5"
    )
    assert re.findall(r"\d+", re.sub(names, "", text)) == []


def test_figures_are_those_of_the_script(tmp_path):
    script = DOCS / "write_figures.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, str(script), str(tmp_path)], check=True, env=environment
    )
    named = re.findall(r"figures/(\w+)\.png", text_of("what-involution-computes.md"))
    kept = {path.stem for path in (DOCS / "figures").glob("*.png")}
    assert kept == set(named) == {path.stem for path in tmp_path.glob("*.png")}
    for path in (DOCS / "figures").glob("*.png"):
        assert path.stat().st_size < 80_000
        with Image.open(path) as kept, Image.open(tmp_path / path.name) as drawn:
            assert kept.size == drawn.size


def test_the_snippet_for_the_hub_classifies(monkeypatch, capsys):
    [snippet] = re.findall(
        r"`(# pip install[^`]*)`,", text_of("hub-library-entry.md"), re.S
    )
    photo = next((ROOT / "examples" / "data" / "caltech101-mini").glob("*.jpg"))
    snippet = snippet.replace("hf://${model.id}", "rednet_26_tiny_imagenet")
    monkeypatch.setenv("KERAS_BACKEND", keras.config.backend())
    exec(snippet.replace("photo.jpg", str(photo)), {})
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if " %  " in line]) == 5
