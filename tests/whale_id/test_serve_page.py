"""The upload page in a real browser, against the real server."""

from __future__ import annotations

import json

import httpx
import numpy as np
import pytest
from PIL import Image

from keras_involution.whale_id import (
    Embeddings,
    embed,
    read_table,
)
from keras_involution.whale_id.assemble import build_network
from keras_involution.whale_id.describe import describe
from keras_involution.whale_id.fusion.candidates import NO_KEYPOINTS
from keras_involution.whale_id.local import XFeatExtractor
from keras_involution.whale_id.serve import Limits, Matcher, create_app
from tests.marks import one_backend
from tests.whale_id import browser
from tests.whale_id.calibrations import KEYPOINTS, calibration_by_hand
from tests.whale_id.image_files import FINS
from tests.whale_id.pages import HOSTILE
from tests.whale_id.server import served
from tests.whale_id.settings import small

pytestmark = [
    one_backend,
    pytest.mark.skipif(browser.PROGRAM is None, reason=browser.MISSING),
]

TOKEN = "secret"
SAID = "document.getElementById('say').textContent"
IDLE = "!document.querySelector('#form button').disabled"
SHOWN = "!document.getElementById('answer').hidden"
VERDICT = "document.getElementById('verdict').textContent"


@pytest.fixture(scope="module")
def known():
    network, table = build_network(small()), read_table(FINS / "metadata.csv")
    found, _ = embed(network, table)
    named = found.table.assign(identity=[HOSTILE, *found.table["identity"][1:]])
    return network, Embeddings(found.features, named)


@pytest.fixture(scope="module")
def address(known):
    app = create_app(Matcher(*known), token=TOKEN, limits=Limits(files=3, top=4))
    with served(app) as address:
        yield address


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser.opened_browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def submit(tab, address, *files, token=TOKEN):
    tab.open(f"{address}/")
    tab.choose("#files", *files)
    if token is not None:
        tab.run(f"document.getElementById('token').value = {json.dumps(token)}")
    tab.run("document.querySelector('#form button').click()")
    tab.wait(f"{IDLE} && ({SHOWN} || {SAID} !== '')")


def fins() -> list:
    return [FINS.parent / path for path in sorted(FINS.glob("*/*.jpg"))]


def test_the_page_shows_what_match_answers(tab, address, known):
    files = fins()[:2]
    submit(tab, address, *files)
    uploads = [("images[]", (path.name, path.read_bytes())) for path in files]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(f"{address}/match", files=uploads, headers=headers, timeout=60)
    matches = answer.json()["matches"]
    assert len(matches) == 4 and HOSTILE in [match["id"] for match in matches]
    rows = tab.run(
        "[...document.querySelectorAll('#matches li')].map((row) => ["
        "row.querySelector('h3').textContent, row.querySelector('p').textContent,"
        "row.querySelectorAll('img').length])"
    )
    counts = known[1].table["identity"].value_counts()
    # The page has no ratings, so it does not explain them in each row.
    said = "; no calibration, so the rating is 0"
    assert all(match["details"].endswith(said) for match in matches)
    assert rows == [
        [f"{m['rank']}. {m['id']}", m["details"].removesuffix(said), counts[m["id"]]]
        for m in matches
    ]
    assert tab.run("document.querySelectorAll('#asked img').length") == 2
    assert tab.run(SAID) == "" and tab.run("document.scripts.length") == 1
    # Without a calibration no number may look like a probability.
    assert "%" not in tab.run("document.body.innerText")
    assert tab.run(VERDICT) == f"Most similar: {matches[0]['id']}"
    tab.wait("[...document.images].every((i) => i.complete && i.naturalWidth > 0)")


@pytest.fixture(scope="module")
def described(known):
    network, database = known
    return network, describe(network, database.table, XFeatExtractor())[0]


def test_matched_points_are_drawn(tab, described):
    with served(create_app(Matcher(*described))) as address:
        submit(tab, address, fins()[0], token=None)
        tab.run("document.querySelector('#matches .photo').click()")
        tab.wait("document.querySelectorAll('#large[open] .pair .window').length === 2")
        places = tab.run(
            "[...document.querySelectorAll('.dots')].map((layer) => "
            "[...layer.children].map((dot) => [dot.style.left, dot.style.top]))"
        )
    # The photo itself is in the database, so every point is at the same place.
    assert len(places[0]) > 20
    shifts = [abs(float(a[0][:-1]) - float(b[0][:-1])) for a, b in zip(*places)]
    assert np.median(shifts) < 2


@pytest.mark.parametrize("new", [True, False])
def test_a_new_animal_is_said(tab, known, new):
    matcher = Matcher(*known, calibration_by_hand(0.4 if new else -0.4))
    with served(create_app(matcher, limits=Limits(top=2))) as address:
        submit(tab, address, fins()[0], token=None)
        verdict = tab.run(VERDICT)
        first = tab.run("document.querySelector('#matches li h3').textContent")
    assert verdict.startswith("New animal" if new else "Most likely")
    # exp(0.4) / (2 + exp(0.4)), and 1 / (2 + exp(-0.4)).
    assert first == ("1. New animal43% likely" if new else f"1. {HOSTILE}37% likely")


def test_what_the_percentages_assume_or_why_there_are_none(tab, described, tmp_path):
    gray = tmp_path / "gray.png"
    Image.new("RGB", (320, 240), "gray").save(gray)
    matcher = Matcher(*described, calibration_by_hand(None, KEYPOINTS))
    with served(create_app(matcher, limits=Limits(top=2))) as address:
        seen = {}
        for path in (gray, fins()[0]):
            submit(tab, address, path, token=None)
            seen[path] = tab.run("document.getElementById('answer').innerText")
            tab.screenshot(f"upload_{path.stem}.png")
    assert "%" not in seen[gray] and "Most similar: " in seen[gray]
    assert (
        f"No percentages: {NO_KEYPOINTS}. "
        "Scores only rank the animals; they are not probabilities." in seen[gray]
    )
    assert "% likely" in seen[fins()[0]]
    assert "probabilities, if the animal is in the catalog." in seen[fins()[0]]


def test_what_is_wrong_is_said(tab, address, tmp_path):
    text = tmp_path / "notes.jpg"
    text.write_text("no image")
    submit(tab, address, fins()[0], text)
    assert "notes.jpg" in tab.run(SAID) and "not an image" in tab.run(SAID)
    for token in ("wrong", "", "ünïcode", "密"):
        submit(tab, address, fins()[0], token=token)
        assert "token" in tab.run(SAID) and not tab.run(SHOWN)
    submit(tab, address, *fins()[:4])
    assert tab.run(SAID) == "More than 3 photos."


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
        tab.screenshot(f"upload_{width}.png")
    finally:
        tab.ask("Emulation.clearDeviceMetricsOverride")
