"""The upload page in a real browser, against the real server."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import httpx
import numpy as np
import pytest

from keras_involution.whale_id import Embeddings, embed, read_table
from keras_involution.whale_id.assemble import build_network
from keras_involution.whale_id.serve import Limits, Matcher, create_app
from tests.marks import one_backend
from tests.whale_id import browser
from tests.whale_id.pages import HOSTILE
from tests.whale_id.pictures import FINS
from tests.whale_id.server import served
from tests.whale_id.settings import small

pytestmark = [
    one_backend,
    pytest.mark.skipif(browser.PROGRAM is None, reason=browser.MISSING),
]

TOKEN = "secret"
CELLS = "[...document.querySelectorAll('#answer tbody tr')].map("
CELLS += "(row) => [...row.cells].map((cell) => cell.textContent.trim()))"
SAID = "document.getElementById('say').textContent"
IDLE = "!document.querySelector('#form button').disabled"
SHOWN = "!document.getElementById('answer').hidden"


@pytest.fixture(scope="module")
def address():
    network, table = build_network(small()), read_table(FINS / "metadata.csv")
    found, _ = embed(network, table)
    named = found.table.assign(identity=[HOSTILE, *found.table["identity"][1:]])
    matcher = Matcher(network, Embeddings(found.features, named))
    app = create_app(matcher, token=TOKEN, limits=Limits(files=3, top=4))
    with served(app) as address:
        yield address


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser.opened_browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def submit(tab, address, *files, token=TOKEN):
    tab.open(f"{address}/")
    tab.choose("#files", *files)
    tab.run(f"document.getElementById('token').value = {json.dumps(token)}")
    tab.run("document.querySelector('#form button').click()")
    tab.wait(f"{IDLE} && ({SHOWN} || {SAID} !== '')")


def fins() -> list:
    return [FINS.parent / path for path in sorted(FINS.glob("*/*.jpg"))]


def test_the_table_is_what_match_answers(tab, address):
    files = fins()[:2]
    submit(tab, address, *files)
    uploads = [("images[]", (path.name, path.read_bytes())) for path in files]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(f"{address}/match", files=uploads, headers=headers, timeout=60)
    matches = answer.json()["matches"]
    assert len(matches) == 4 and HOSTILE in [match["id"] for match in matches]
    assert tab.run(CELLS) == [
        [str(m["rank"]), m["id"], f"{m['rating']:.2f}", m["details"]] for m in matches
    ]
    bars = "[...document.querySelectorAll('#answer progress')].map((bar) => bar.value)"
    np.testing.assert_allclose(tab.run(bars), [m["rating"] for m in matches])
    assert tab.run(SAID) == "" and tab.run("document.scripts.length") == 1


def test_what_is_wrong_is_said(tab, address, tmp_path):
    text = tmp_path / "notes.jpg"
    text.write_text("no picture")
    submit(tab, address, fins()[0], text)
    assert "notes.jpg" in tab.run(SAID) and "no picture" in tab.run(SAID)
    for token in ("wrong", "", "ünïcode", "密"):
        submit(tab, address, fins()[0], token=token)
        assert "token" in tab.run(SAID) and not tab.run(SHOWN)
    submit(tab, address, *fins()[:4])
    assert tab.run(SAID) == "More than 3 photographs."


def test_an_answer_of_before_is_not_left_standing(tab, address):
    submit(tab, address, fins()[0])
    assert tab.run(SHOWN)
    tab.run("document.getElementById('token').value = 'wrong'")
    tab.run("document.querySelector('#form button').click()")
    tab.wait(f"{IDLE} && {SAID}.includes('token')")
    assert not tab.run(SHOWN)


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_leaves_the_screen(tab, address, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    tab.ask("Emulation.setDeviceMetricsOverride", **size)
    try:
        submit(tab, address, *fins()[:2])
        assert tab.run("document.documentElement.scrollWidth") <= width
        if folder := os.environ.get("KERAS_INVOLUTION_SCREENSHOTS"):
            shot = tab.ask("Page.captureScreenshot")["data"]
            Path(folder, f"upload_{width}.png").write_bytes(base64.b64decode(shot))
    finally:
        tab.ask("Emulation.clearDeviceMetricsOverride")
