"""The report with decisions, as a file and in a real browser."""

from __future__ import annotations

import csv
import json
import time

import numpy as np
import pytest
from PIL import Image

from keras_involution.whale_id import (
    Embeddings,
    Heatmaps,
    Ranking,
    identify,
    insert_new,
    read_table,
    write_report,
)
from keras_involution.whale_id.fusion import Candidates, with_local_features
from keras_involution.whale_id.fusion.candidates import NO_KEYPOINTS
from keras_involution.whale_id.local import Keypoints, LocalFeatures
from keras_involution.whale_id.pages.points import MatchedPoints
from tests.marks import one_backend
from tests.whale_id import browser
from tests.whale_id.calibrations import calibration_by_hand
from tests.whale_id.command import run
from tests.whale_id.image_files import FINS, animals, listed
from tests.whale_id.pages import HOSTILE, read_page

pytestmark = one_backend


def fins():
    """Ten fins with random embeddings, each compared with the nine others."""
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


def content_of(page) -> dict:
    """The data of the page for its script."""
    return json.loads(page.data)


def test_page(tmp_path):
    ranking, table = fins()
    out = tmp_path / "r.html"
    confidence = 1 / (1 + np.exp(2 - 4 * ranking.scores))
    options = {"top": 2, "confidence": confidence, "protocol": "by hand"}
    assert write_report(ranking, table, table, out, **options) == []
    page = read_page(out)
    assert [s["data-image"] for s in page.named("section")] == list(table["image_id"])
    assert "by hand" in page.text
    content = content_of(page)
    for number, query in enumerate(content["queries"]):
        known = ranking.labels[number] != "new_individual"
        shown = [c for c in query["candidates"] if "identity" in c]
        assert [c["identity"] for c in shown] == ranking.labels[number][known][
            :2
        ].tolist()
        scores = ranking.scores[number][known][:2]
        assert [c["score"] for c in shown] == pytest.approx(scores, abs=1e-6)
        wanted = confidence[number][known][:2]
        assert [c["confidence"] for c in shown] == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(ValueError, match="--force"):
        write_report(ranking, table, table, out)


def test_all_photos_of_a_candidate_are_there_once(tmp_path):
    ranking, table = fins()
    write_report(ranking, table, table, tmp_path / "r.html")
    content = content_of(read_page(tmp_path / "r.html"))
    names = [photo["id"] for photo in content["photos"]]
    assert sorted(names) == sorted(table["image_id"])
    assert len(content["images"]) == len(set(content["images"])) == 10
    for identity, numbers in content["animals"].items():
        rows = table[table["identity"] == identity]
        assert sorted(names[n] for n in numbers) == sorted(rows["image_id"])
    best = [c for q in content["queries"] for c in q["candidates"] if c.get("best")]
    assert best and all(c["best"] in content["animals"][c["identity"]] for c in best)


def test_without_calibration_there_is_no_percentage(tmp_path):
    ranking, table = fins()
    write_report(ranking, table, table, tmp_path / "r.html")
    page = read_page(tmp_path / "r.html")
    assert "confidence" not in page.data and "%" not in page.text


def test_a_large_report_is_light(tmp_path):
    """428 queries against 700 photos; a query once took 150 KB and 114 elements."""
    paths = read_table(FINS / "metadata.csv")["path"].to_list()
    names = [str(n) for n in range(428 + 700)]
    table = listed({"x": len(names)}).assign(
        image_id=names,
        identity=[f"animal {n % 140}" for n in range(len(names))],
        path=[paths[n % 10] for n in range(len(names))],
        bbox=[[n % 50, n % 40, 100 + n % 30, 90.0] for n in range(len(names))],
    )
    queries, database = table.iloc[:428], table.iloc[428:].reset_index(drop=True)
    random = np.random.default_rng(0)
    images = random.permuted(np.tile(np.arange(700), (428, 1)), axis=1)[:, :5]
    labels = database["identity"].to_numpy()[images]
    ranking = Ranking(labels, np.tile([0.9, 0.8, 0.7, 0.6, 0.5], (428, 1)), images)
    write_report(ranking, queries, database, tmp_path / "r.html")
    assert (tmp_path / "r.html").stat().st_size < 6_600_000
    assert len(read_page(tmp_path / "r.html").tags) < 4_888


def test_hostile_texts_stay_text(tmp_path):
    ranking, table = hostile(tmp_path)
    write_report(ranking, table, table, tmp_path / "r.html", title=HOSTILE)
    page = read_page(tmp_path / "r.html")
    kinds = [script.get("type") for script in page.named("script")]
    assert kinds == ["application/json", None]
    content = content_of(page)
    assert content["queries"][0]["candidates"][0]["identity"] == HOSTILE
    assert HOSTILE in page.text and HOSTILE not in page.data


def test_unreadable_photos(tmp_path):
    ranking, table = fins()
    table = table.assign(path=table["path"].where(table.index != 3, "/none.jpg"))
    told = []
    out = tmp_path / "r.html"
    found = write_report(ranking, table, table, out, warn=told.append)
    assert len(found) == 1 and told == [f"skipped {found[0]}"]
    assert "/none.jpg" in found[0]
    gone = [p for p in content_of(read_page(out))["photos"] if "image" not in p]
    assert [photo["id"] for photo in gone] == [table["image_id"][3]]
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
    photo = np.full((8, 12, 3), 100, "uint8")
    maps = {"a": np.eye(3), "b": photo // 2}
    np.savez(tmp_path / "maps.npz", **maps)
    for source in (maps, tmp_path / "maps.npz"):
        heat = Heatmaps(source)
        assert heat.image("a", photo).shape == (8, 12, 3)
        assert (heat.image("b", photo) == 50).all()
        assert heat.image("c", photo) is None
    (tmp_path / "folder").mkdir()
    Image.fromarray(photo).save(tmp_path / "folder" / "a.png")
    Image.fromarray(photo).save(tmp_path / "outside.png")
    (tmp_path / "folder" / "b.png").write_text("no image")
    heat = Heatmaps(tmp_path / "folder")
    assert (heat.image("a", photo) == 100).all()
    assert heat.image("../outside", photo) is None
    for wrong in (
        lambda: heat.image("b", photo),
        lambda: Heatmaps({"a": np.zeros(3)}).image("a", photo),
        lambda: Heatmaps(tmp_path / "nowhere.npz"),
        lambda: Heatmaps(tmp_path / "folder" / "b.png"),
    ):
        with pytest.raises(ValueError, match="Received: "):
            wrong()


def test_points_are_those_of_the_stored_keypoints():
    """The photos do not exist, so no keypoints can be computed from them."""
    table = listed({"A": 2}, bbox=[[50, 20, 100, 60], None])
    first = np.random.default_rng(0).uniform([50, 20], [150, 80], (9, 2))
    second = first + [10, -5]
    found = [Keypoints(at, np.eye(9, 64), (200, 100)) for at in (first, second)]
    local = LocalFeatures.pack(found)
    stored = with_local_features(Embeddings(np.eye(2), table), local)
    points = MatchedPoints(stored, stored)(table.iloc[0], table.iloc[1])
    # The page shows boxes with a margin of 1/20 of their sides.
    shown = [(first - [45, 17]) / [110, 66], second / [200, 100]]
    np.testing.assert_allclose(points, np.concatenate(shown, axis=1), atol=1e-6)


def test_command(tmp_path):
    _, table = fins()
    features = np.random.default_rng(0).normal(size=(10, 6))
    file, out = tmp_path / "e.npz", tmp_path / "r.html"
    Embeddings(features, table).save(file)
    calibration_by_hand(0.4).save(tmp_path / "c.json")
    np.savez(tmp_path / "maps.npz", **{"17541": np.eye(4)})
    options = ("--out", out, "--leave-one-out", "--limit", 4)
    options += ("--calibration", tmp_path / "c.json", "--top", 3, "--sides", "any")
    options += ("--heatmaps", tmp_path / "maps.npz")
    said = run("report", file, file, *options)
    assert "4 of 10 photos" in said and "No points are drawn" in said
    page = read_page(out)
    content = content_of(page)
    shown = [c for q in content["queries"] for c in q["candidates"] if "identity" in c]
    assert len(shown) == 12 and not any("points" in candidate for candidate in shown)
    assert {p["id"] for p in content["photos"] if "map" in p} == {"17541"}
    assert "by hand" in page.text
    assert all(q["candidates"][0] | {"new": True} == q["candidates"][0]
               for q in content["queries"])  # fmt: skip
    assert "--force" in run("report", file, file, "--out", out, status=1)


def test_the_command_draws_stored_keypoints(tmp_path):
    _, table = fins()
    same = Keypoints(np.random.default_rng(0).uniform(size=(9, 2)), np.eye(9), (1, 1))
    embeddings = Embeddings(np.eye(10), table)
    local = LocalFeatures.pack([same] * 10)
    with_local_features(embeddings, local).save(tmp_path / "k.npz")
    file, out = tmp_path / "k.npz", tmp_path / "r.html"
    run("report", file, file, "--out", out, "--leave-one-out", "--limit", 2)
    for query in content_of(read_page(out))["queries"]:
        assert {len(c["points"]) for c in query["candidates"]} == {9}


needs_browser = pytest.mark.skipif(browser.PROGRAM is None, reason=browser.MISSING)


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser.opened_browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def click(tab, query, selector):
    """Clicks on an element of a query, which is created when it becomes visible."""
    section = f"document.querySelectorAll('.query')[{query}]"
    tab.run(f"{section}.scrollIntoView()")
    tab.wait(f"{section}.classList.contains('built')")
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
    confidence = 1 / (1 + np.exp(2 - 4 * ranking.scores))
    write_report(ranking, table, table, out, top=2, confidence=confidence)
    tab.open(out)
    assert progress(tab) == "0 of 10 decided"
    click(tab, 0, ".candidate .accept")
    click(tab, 1, ".new")
    click(tab, 2, ".candidate:nth-last-of-type(1) .reject")
    click(tab, 3, ".candidate .accept")
    click(tab, 3, ".candidate .accept")  # Undone.
    click(tab, 4, ".candidate .accept")
    click(tab, 4, ".candidate .reject")  # A rejected animal is not the answer.
    click(tab, 5, ".new")
    click(tab, 5, ".candidate .accept")  # An accepted animal is not new.
    assert progress(tab) == "3 of 10 decided"

    rows = downloaded(tab, tmp_path / "first")
    facts = ["image_id", "decision", "identity", "rank", "score", "confidence"]
    assert rows[0] == [*facts, "who", "when"]
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
    assert float(rows[1][5]) == pytest.approx(confidence[0, place], abs=1e-5)
    assert rows[2][2:7] == ["new_individual", "", "", "", ""]
    assert rows[2][7].startswith("20")

    tab.open(tmp_path / "r.html")  # The browser has stored them.
    assert progress(tab) == "3 of 10 decided"
    assert downloaded(tab, tmp_path / "second") == rows
    assert tab.run("document.querySelector('.query .answer').textContent") == rows[1][2]

    write_report(ranking.rows([0]), table.head(1), table, tmp_path / "other.html")
    tab.open(tmp_path / "other.html")  # Another page has separate decisions.
    assert progress(tab) == "0 of 1 decided"

    tab.open(out)
    tab.run("window.confirm = () => true; document.getElementById('clear').click()")
    assert progress(tab) == "0 of 10 decided"
    tab.open(out)
    assert progress(tab) == "0 of 10 decided"


@needs_browser
def test_what_the_percentages_assume_or_why_there_are_none(tab, tmp_path):
    table = fins()[1].head(3)
    ranking = Ranking([["A", "B"]] * 3, [[0.9, 0.2]] * 3, [[1, 2]] * 3)
    probabilities = np.array([[0.9, 0.1], [np.nan, np.nan], [0.8, 0.2]])
    closed = Candidates(ranking, table, probabilities)
    new = np.array([0.05, np.nan, 0.01])
    opened = Candidates(ranking, table, probabilities, new)
    missing = f"No percentages: {NO_KEYPOINTS}."
    condition = "The percentages hold if the animal is in the catalog."
    for found, expected in ((closed, [condition, missing, condition]),
                            (opened, ["", missing, ""])):  # fmt: skip
        ranked, likely = ranking, probabilities
        if found is opened:
            ranked, likely = opened.with_new()
        options = {"confidence": likely, "notes": found.notes, "force": True}
        write_report(ranked, table, table, tmp_path / "r.html", **options)
        tab.open(tmp_path / "r.html")
        for number, note in enumerate(expected):
            click(tab, number, "h2")
            section = f"document.querySelectorAll('.query')[{number}]"
            assert (
                tab.run(f"{section}.querySelector('.note')?.textContent ?? ''") == note
            )
            text = tab.run(f"{section}.textContent")
            assert ("%" in text) == (note != missing) and "NaN" not in text
    click(tab, 1, ".accept")
    (row,) = downloaded(tab, tmp_path / "d")[1:]
    assert row[:6] == [table["image_id"][1], "accept", "A", "1", "", ""]
    tab.screenshot("report_notes.png")


@needs_browser
def test_hostile_texts_do_nothing(tab, tmp_path):
    ranking, table = hostile(tmp_path)
    out = tmp_path / "r.html"
    write_report(ranking, table, table, out, title=HOSTILE)
    tab.open(out)
    assert tab.run("document.title") == HOSTILE
    assert tab.run("document.scripts.length") == 2
    click(tab, 0, ".candidate .accept")
    click(tab, 1, ".candidate:nth-of-type(2) .accept")
    rows = downloaded(tab, tmp_path / "d")
    assert [row[:3] for row in rows[1:]] == [
        [f"{HOSTILE}0", "accept", HOSTILE],
        [f"{HOSTILE}1", "accept", "B,\n2"],
    ]
    # Markup that is inserted later does not run either.
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
    click(tab, 0, ".candidate .photo")
    shown = "[...document.querySelectorAll('#large[open] .pair img')].map((i) => i.alt)"
    names = tab.run(shown)
    assert len(names) == 2 and all("heat map" in name for name in names)
    assert names[0].startswith("The query: 17541")
    tab.run("document.getElementById('close').click()")
    assert tab.run(shown) == []
    tab.wait("[...document.images].every((i) => i.complete && i.naturalWidth > 0)")


def press(tab, *keys):
    for key in keys:
        tab.ask("Input.dispatchKeyEvent", type="keyDown", key=key)
        tab.ask("Input.dispatchKeyEvent", type="keyUp", key=key)


@needs_browser
def test_keys(tab, tmp_path):
    ranking, table = fins()
    write_report(ranking, table, table, tmp_path / "r.html", top=3)
    tab.open(tmp_path / "r.html")
    animals = [row[row != "new_individual"] for row in ranking.labels]
    press(tab, "a", "j", "2", "a", "j", "n", "j", "r", "j", "n", "u")
    rows = [row[:3] for row in downloaded(tab, tmp_path / "d")[1:]]
    ids = list(table["image_id"])
    assert rows == [
        [ids[0], "accept", animals[0][0]],
        [ids[1], "accept", animals[1][1]],
        [ids[2], "new", "new_individual"],
        [ids[3], "reject", animals[3][0]],
    ]
    press(tab, "u", "u", "u", "u", "u")
    assert progress(tab) == "0 of 10 decided"
    press(tab, "k", "k", "k", "k", "Enter")
    assert tab.run("document.getElementById('large').open")
    press(tab, "n")  # No decision while the large photos are open.
    assert progress(tab) == "0 of 10 decided"


@needs_browser
def test_two_photos_zoom_together_with_their_points(tab, tmp_path):
    ranking, table = fins()
    asked = []

    def matches(query, found):
        asked.append((query["image_id"], found["image_id"]))
        return np.array([[0.25, 0.5, 0.75, 0.1]])

    write_report(ranking, table, table, tmp_path / "r.html", matches=matches)
    assert (table["image_id"][0], table["image_id"][ranking.images[0][0]]) in asked
    tab.open(tmp_path / "r.html")
    click(tab, 0, ".candidate .photo")
    places = "[...document.querySelectorAll('.dots i')].map((d) => d.style.left)"
    assert tab.run(places) == ["25%", "75%"]
    tab.run(
        "document.querySelector('.window').dispatchEvent(new WheelEvent('wheel',"
        "{deltaY: -300, bubbles: true, cancelable: true, clientX: 99, clientY: 99}))"
    )
    moved = "[...document.querySelectorAll('.moved')].map((m) => m.style.transform)"
    first, second = tab.run(moved)
    assert first == second and "scale(2.7" in first
    tab.run("document.getElementById('whole').click()")
    assert set(tab.run(moved)) == {"translate(0%, 0%) scale(1)"}


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
