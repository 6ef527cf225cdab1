"""The Space in a real browser: a photo and its heat maps, two fins and their points."""

from __future__ import annotations

import base64
import importlib.util
import io
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tests.marks import one_backend
from tests.whale_id.browser import MISSING, PROGRAM, Tab, opened_browser

ROOT = Path(__file__).parents[2]
APP = ROOT / "examples" / "space" / "app.py"
FINS = ROOT / "examples" / "data" / "dolphin_fins" / "apache2"
GRADIO = importlib.util.find_spec("gradio") is not None
pytestmark = [
    one_backend,
    pytest.mark.skipif(not GRADIO, reason="gradio is not installed"),
    pytest.mark.skipif(PROGRAM is None, reason=MISSING),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The app as a process of its own, on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "KERAS_BACKEND": keras.config.backend(),
        "PYTHONPATH": str(ROOT),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(tmp_path_factory.mktemp("gradio")),
    }
    log = tmp_path_factory.mktemp("space") / "log"
    with open(log, "w") as file:
        process = subprocess.Popen(
            [sys.executable, str(APP)],
            env={**os.environ, **settings},
            stdout=file,
            stderr=file,
        )
    try:
        yield started(f"http://127.0.0.1:{port}/", process, log)
    finally:
        process.terminate()
        process.wait()


def started(address: str, process: subprocess.Popen, log: Path) -> str:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(address):
                return address
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(log.read_text()[-2000:])


@pytest.fixture(scope="module")
def tab(address, tmp_path_factory):
    with opened_browser(tmp_path_factory.mktemp("browser")) as tab:
        size = {"width": 1200, "height": 1100, "deviceScaleFactor": 1, "mobile": False}
        tab.ask("Emulation.setDeviceMetricsOverride", **size)
        tab.open(address)
        tab.wait("document.querySelector('#photo input[type=file]') !== null")
        yield tab


def upload(tab: Tab, name: str, path: Path) -> None:
    tab.choose(f"#{name} input[type=file]", path)
    tab.wait(f"document.querySelector('#{name} img') !== null")


def images(tab: Tab, name: str) -> list[np.ndarray]:
    """The images that a part of the page shows."""
    sources = tab.run(f"[...document.querySelectorAll('#{name} img')].map(i => i.src)")
    found = []
    for source in sources:
        with urllib.request.urlopen(source) as answer:
            found.append(
                np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))
            )
    return found


def screenshot(tab: Tab) -> np.ndarray:
    shot = tab.ask("Page.captureScreenshot")["data"]
    if folder := os.environ.get("KERAS_INVOLUTION_SCREENSHOTS"):
        number = len(list(Path(folder).glob("*.png")))
        Path(folder, f"space_{number}.png").write_bytes(base64.b64decode(shot))
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shot))))


def test_a_photo_gets_classes_and_heat_maps(tab):
    upload(tab, "photo", FINS / "17541.jpg")
    tab.run("document.querySelector('#classify').click()")
    tab.wait("document.querySelectorAll('#maps img').length >= 4")
    tab.wait("/[0-9]%/.test(document.querySelector('#classes').innerText)")
    maps = images(tab, "maps")[:4]
    with Image.open(FINS / "17541.jpg") as photo:
        ratio = photo.width / photo.height
    for view in maps:
        assert view.shape[1] / view.shape[0] == pytest.approx(ratio, rel=0.02)
    # Each stage looks elsewhere.
    assert all(np.abs(maps[0] - one.astype(int)).mean() > 1 for one in maps[1:])
    assert len(np.unique(screenshot(tab))) > 50


def score_of(tab: Tab, one: str, other: str) -> float:
    before = tab.run("document.querySelector('#count textarea').value")
    upload(tab, "one", FINS / one)
    upload(tab, "other", FINS / other)
    tab.run("document.querySelector('#compare').click()")
    tab.wait(f"document.querySelector('#count textarea').value !== {before!r}")
    tab.wait("document.querySelector('#points img') !== null")
    text = tab.run("document.querySelector('#count textarea').value")
    return float(re.fullmatch(r"\d+ matched points, score (\d+\.\d)", text)[1])


def clear(tab: Tab, *names: str) -> None:
    for name in names:
        tab.run(
            f"document.querySelector('#{name} button[aria-label=\"Clear\"]')?.click()"
        )
        tab.wait(f"document.querySelector('#{name} input[type=file]') !== null")


def test_two_fins_of_one_dolphin_have_the_higher_score(tab):
    tab.run(
        "[...document.querySelectorAll('button[role=tab]')]"
        ".find(b => b.innerText.startsWith('Compare')).click()"
    )
    tab.wait("document.querySelector('#one input[type=file]') !== null")
    same = score_of(tab, "17541.jpg", "23441.jpg")
    [drawing] = images(tab, "points")
    assert drawing.shape[1] > drawing.shape[0]
    screenshot(tab)
    clear(tab, "one", "other")
    another = score_of(tab, "17541.jpg", "27516.jpg")
    assert same > 1.5 * another
