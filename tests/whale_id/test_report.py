"""The page on which a person decides, as a file and in a real browser."""

from __future__ import annotations

import csv
import json
import time

import numpy as np
import pytest
from PIL import Image

from keras_involution.whale_id import (
    Calibration,
    Embeddings,
    Heatmaps,
    Ranking,
    identify,
    insert_new,
    read_table,
    write_report,
)
from tests.marks import one_backend
from tests.whale_id import browser
from tests.whale_id.command import run
from tests.whale_id.pages import HOSTILE, read_page
from tests.whale_id.pictures import FINS, animals

pytestmark = one_backend

CHANCE = Calibration("logistic", [], [-2.0, 4.0], "by hand")


def fins():
    """The ten fins with random embeddings, each against the nine others."""
    table = read_table(FINS / "metadata.csv")
    features = np.random.default_rng(0).normal(size=(10, 6))
    embeddings = Embeddings(features, table)
    ranking = identify(embeddings, embeddings, leave_one_out=True)
    return insert_new(ranking, 0.2), table


def hostile(folder):
    """Two animals and a query whose every text is markup."""
    table = animals(folder, {"A": 2, "B": 2}).assign(species=HOSTILE, date=HOSTILE)
    table["identity"] = [HOSTILE, HOSTILE, "B,\n2", "B,\n2"]
    table["image_id"] = [f"{HOSTILE}{n}" for n in range(4)]
    labels = [[HOSTILE, "B,\n2"]] * 4
    return Ranking(labels, [[0.9, 0.5]] * 4, [[1, 2], [0, 2], [1, 3], [1, 2]]), table


def test_page(tmp_path):
    ranking, table = fins()
    out = tmp_path / "r.html"
    assert (
        write_report(
            *(ranking, table, table, out),
            top=2,
            confidence=CHANCE.of(ranking),
            protocol="by hand",
        )
        == []
    )
    page = read_page(out)
    assert [s["data-image"] for s in page.named("section")] == list(table["image_id"])
    candidates = page.named("figure")
    assert len(candidates) == 20
    known = ranking.labels[0] != "new_individual"
    shown = [(c["data-identity"], float(c["data-score"])) for c in candidates[:2]]
    assert [name for name, _ in shown] == ranking.labels[0][known].tolist()[:2]
    scores = ranking.scores[0][known].tolist()[:2]
    assert [score for _, score in shown] == pytest.approx(scores, abs=1e-5)
    assert all(0 < float(c["data-confidence"]) < 1 for c in candidates)
    assert "by hand" in page.text and "limit 0.200" in page.text
    assert len(page.named("img")) == 30
    with pytest.raises(ValueError, match="--force"):
        write_report(ranking, table, table, out)


def test_hostile_texts_stay_text(tmp_path):
    ranking, table = hostile(tmp_path)
    write_report(ranking, table, table, tmp_path / "r.html", title=HOSTILE)
    page = read_page(tmp_path / "r.html")
    assert len(page.named("script")) == 1
    assert page.named("figure")[0]["data-identity"] == HOSTILE
    assert HOSTILE in page.text


def test_unreadable_photographs(tmp_path):
    ranking, table = fins()
    table = table.assign(path=table["path"].where(table.index != 3, "/none.jpg"))
    told = []
    out = tmp_path / "r.html"
    found = write_report(ranking, table, table, out, warn=told.append)
    assert len(found) == 1 and told == [f"skipped {found[0]}"]
    assert "/none.jpg" in found[0]
    assert "not readable" in read_page(out).text
    before = out.read_bytes()
    with pytest.raises(ValueError, match=r"Received: path='/none\.jpg'"):
        write_report(ranking, table, table, out, on_error="stop", force=True)
    assert out.read_bytes() == before


def test_wrong_sizes(tmp_path):
    ranking, table = fins()
    bare = Ranking(ranking.labels, ranking.scores)
    for arguments in ((bare, table), (ranking, table.head(3))):
        with pytest.raises(ValueError, match="Received: ranking=10"):
            write_report(*arguments, table, tmp_path / "r.html")
    with pytest.raises(ValueError, match=r"Received: confidence=\(10, 2\)"):
        write_report(
            ranking, table, table, tmp_path / "r.html", confidence=np.zeros((10, 2))
        )
    assert not (tmp_path / "r.html").exists()


def test_heat_maps(tmp_path):
    photograph = np.full((8, 12, 3), 100, "uint8")
    maps = {"a": np.eye(3), "b": photograph // 2}
    np.savez(tmp_path / "maps.npz", **maps)
    for source in (maps, tmp_path / "maps.npz"):
        heat = Heatmaps(source)
        assert heat.picture("a", photograph).shape == (8, 12, 3)
        assert (heat.picture("b", photograph) == 50).all()
        assert heat.picture("c", photograph) is None
    (tmp_path / "folder").mkdir()
    Image.fromarray(photograph).save(tmp_path / "folder" / "a.png")
    Image.fromarray(photograph).save(tmp_path / "outside.png")
    (tmp_path / "folder" / "b.png").write_text("no picture")
    heat = Heatmaps(tmp_path / "folder")
    assert (heat.picture("a", photograph) == 100).all()
    assert heat.picture("../outside", photograph) is None
    for wrong in (
        lambda: heat.picture("b", photograph),
        lambda: Heatmaps({"a": np.zeros(3)}).picture("a", photograph),
        lambda: Heatmaps(tmp_path / "nowhere.npz"),
        lambda: Heatmaps(tmp_path / "folder" / "b.png"),
    ):
        with pytest.raises(ValueError, match="Received: "):
            wrong()


def test_command(tmp_path):
    _, table = fins()
    features = np.random.default_rng(0).normal(size=(10, 6))
    file, out = tmp_path / "e.npz", tmp_path / "r.html"
    Embeddings(features, table).save(file)
    CHANCE.save(tmp_path / "c.json")
    np.savez(tmp_path / "maps.npz", **{"17541": np.eye(4)})
    options = ("--out", out, "--leave-one-out", "--threshold", 0.1, "--limit", 4)
    options += ("--calibration", tmp_path / "c.json", "--top", 3)
    options += ("--heatmaps", tmp_path / "maps.npz")
    assert "4 of 10 photographs" in run("report", file, file, *options)
    page = read_page(out)
    assert len(page.named("figure")) == 12
    maps = [i for i in page.named("img") if "heat map" in i["alt"]]
    assert maps and all("17541" in i["alt"] for i in maps)
    assert "given: 0.1; by hand" in page.text
    assert "--force" in run("report", file, file, "--out", out, status=1)


needs_browser = pytest.mark.skipif(browser.PROGRAM is None, reason=browser.MISSING)


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser.opened_browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def click(tab, query, selector):
    tab.run(
        f"document.querySelectorAll('.query')[{query}]"
        f".querySelector({json.dumps(selector)}).click()"
    )


def progress(tab) -> str:
    return tab.run("document.querySelector('.progress').textContent")


def downloaded(tab, folder) -> list[list[str]]:
    folder.mkdir()
    options = {"behavior": "allow", "downloadPath": str(folder)}
    tab.ask("Browser.setDownloadBehavior", **options)
    tab.run("document.getElementById('download').click()")
    deadline = time.monotonic() + 60
    while not (folder / "decisions.csv").exists():
        assert time.monotonic() < deadline, "nothing was downloaded"
        time.sleep(0.05)
    with open(folder / "decisions.csv", encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@needs_browser
def test_decisions(tab, tmp_path):
    ranking, table = fins()
    out = tmp_path / "r.html"
    chances = CHANCE.of(ranking)
    write_report(ranking, table, table, out, top=2, confidence=chances)
    tab.open(out)
    assert progress(tab) == "0 of 10 decided"
    click(tab, 0, ".candidate .accept")
    click(tab, 1, ".new")
    click(tab, 2, ".candidate:nth-last-of-type(1) .reject")
    click(tab, 3, ".candidate .accept")
    click(tab, 3, ".candidate .accept")  # taken back
    click(tab, 4, ".candidate .accept")
    click(tab, 4, ".candidate .reject")  # a rejected animal is not the answer
    click(tab, 5, ".new")
    click(tab, 5, ".candidate .accept")  # an accepted one is not new
    assert progress(tab) == "3 of 10 decided"

    rows = downloaded(tab, tmp_path / "first")
    assert rows[0] == [
        "image_id",
        "decision",
        "identity",
        "rank",
        "score",
        "confidence",
    ]
    decided = [(name, kind) for name, kind, *_ in rows[1:]]
    ids = list(table["image_id"])
    assert decided == [
        (ids[0], "accept"),
        (ids[1], "new"),
        (ids[2], "reject"),
        (ids[4], "reject"),
        (ids[5], "accept"),
    ]
    place = int(rows[1][3]) - 1
    assert rows[1][2] == ranking.labels[0, place] != "new_individual"
    assert float(rows[1][4]) == pytest.approx(ranking.scores[0, place], abs=1e-5)
    assert float(rows[1][5]) == pytest.approx(chances[0, place], abs=1e-5)
    assert rows[2][2:] == ["new_individual", "", "", ""]

    tab.open(tmp_path / "r.html")  # the browser has kept them
    assert progress(tab) == "3 of 10 decided"
    assert downloaded(tab, tmp_path / "second") == rows
    assert tab.run("document.querySelector('.query .answer').textContent") == rows[1][2]

    write_report(ranking.rows([0]), table.head(1), table, tmp_path / "other.html")
    tab.open(tmp_path / "other.html")  # another page has its own
    assert progress(tab) == "0 of 1 decided"

    tab.open(out)
    tab.run("window.confirm = () => true; document.getElementById('clear').click()")
    assert progress(tab) == "0 of 10 decided"
    tab.open(out)
    assert progress(tab) == "0 of 10 decided"


@needs_browser
def test_hostile_texts_do_nothing(tab, tmp_path):
    ranking, table = hostile(tmp_path)
    out = tmp_path / "r.html"
    write_report(ranking, table, table, out, title=HOSTILE)
    tab.open(out)
    assert tab.run("document.title") == HOSTILE
    assert tab.run("document.scripts.length") == 1
    click(tab, 0, ".candidate .accept")
    click(tab, 1, ".candidate:nth-of-type(2) .accept")
    rows = downloaded(tab, tmp_path / "d")
    assert [row[:3] for row in rows[1:]] == [
        [f"{HOSTILE}0", "accept", HOSTILE],
        [f"{HOSTILE}1", "accept", "B,\n2"],
    ]
    # What is put into the page later does not run either.
    tab.run(
        "const s = document.createElement('script');"
        "s.textContent = 'window.hostile = 1'; document.body.append(s)"
    )
    assert tab.run("window.hostile === undefined")


@needs_browser
def test_decisions_hold_no_formula(tab, tmp_path):
    names = ["=1+1", "@SUM(1)", "-2+3", "+4-1", "'=5", "-12.5", "'Ehu"]
    table = animals(tmp_path, {"x": len(names)}).assign(identity=names, image_id=names)
    ranking = Ranking([[n] for n in names], [[-0.5]] * len(names), [[0]] * len(names))
    write_report(ranking, table, table, tmp_path / "r.html")
    tab.open(tmp_path / "r.html")
    for query in range(len(names)):
        click(tab, query, ".candidate .accept")
    rows = downloaded(tab, tmp_path / "d")[1:]
    safe = ["'=1+1", "'@SUM(1)", "'-2+3", "'+4-1", "''=5", "-12.5", "'Ehu"]
    assert [row[0] for row in rows] == [row[2] for row in rows] == safe
    assert {row[4] for row in rows} == {"-0.500000"}


@needs_browser
def test_heat_maps_and_large_pictures(tab, tmp_path):
    ranking, table = fins()
    maps = {name: np.eye(4) for name in table["image_id"]}
    out = tmp_path / "r.html"
    write_report(ranking, table, table, out, heatmaps=Heatmaps(maps))
    tab.open(out)
    visible = (
        "getComputedStyle(document.querySelector('.mapped .map')).display === 'block'"
    )
    assert not tab.run(visible)
    tab.run("document.getElementById('maps').click()")
    assert tab.run(visible)
    click(tab, 0, ".candidate .photograph")
    shown = "[...document.querySelectorAll('#large[open] .pair img')].map((i) => i.alt)"
    names = tab.run(shown)
    assert len(names) == 2 and all("heat map" in name for name in names)
    assert names[0].startswith("The query: 17541")
    tab.run("document.querySelector('#large button').click()")
    assert tab.run(shown) == []
    whole = "[...document.images].every((i) => i.complete && i.naturalWidth > 0)"
    tab.run("document.querySelectorAll('img').forEach((i) => (i.loading = 'eager'))")
    tab.wait(whole)


@needs_browser
@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_leaves_the_screen(tab, tmp_path, width):
    ranking, table = hostile(tmp_path)
    write_report(ranking, table, table, tmp_path / "r.html", title="W" * 90)
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    tab.ask("Emulation.setDeviceMetricsOverride", **size)
    try:
        tab.open(tmp_path / "r.html")
        wide = tab.run("document.documentElement.scrollWidth")
    finally:
        tab.ask("Emulation.clearDeviceMetricsOverride")
    assert wide <= width
