"""`whale-id evaluate`, `identify` and `submit` on files of embeddings."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from keras_involution.whale_id import Embeddings
from keras_involution.whale_id.fusion import FusionCalibration
from tests.marks import one_backend
from tests.whale_id.calibrations import KEYPOINTS, calibration_by_hand
from tests.whale_id.command import run
from tests.whale_id.image_files import listed
from tests.whale_id.keypoints import with_random_keypoints
from tests.whale_id.pages import read_page

pytestmark = one_backend


def make(path, seed=0, noise=0.6):
    """Animals are directions, photos are directions with noise; two are new."""
    counts = {f"w{i}": 6 for i in range(12)}
    table = listed(counts, photo_number=list(range(72)))
    parts = ["train", "train", "train", "train", "test_known", "test_known"] * 9
    table["split"] = parts + ["train"] * 6 + ["test_new"] * 12
    validation = ["train", "train", "train", "val_known", "", ""] * 9
    table["val_split"] = validation + ["val_new"] * 6 + [""] * 12
    random = np.random.default_rng(seed)
    centers = random.normal(size=(12, 8)).repeat(6, axis=0)
    features = centers + noise * random.normal(size=centers.shape)
    Embeddings(features, table).save(path)
    return path


@pytest.fixture
def file(tmp_path):
    return make(tmp_path / "e.npz")


def test_evaluate(file, tmp_path):
    text = run(
        "evaluate",
        file,
        *("--out", tmp_path / "m.json", "--per-query", tmp_path / "q.csv"),
        *("--save-calibration", tmp_path / "f.json"),
        *("--reliability", tmp_path / "r.png"),
    )
    with Image.open(tmp_path / "r.png") as diagram:
        assert diagram.size == (675, 675)
    assert "30, including 12 of animals not in the database" in text
    assert "15 validation photos, 40% of them new" in text
    assert "The photos are missing" in text
    for name in (
        "top-1",
        "MAP@5 of new",
        "AUROC of new",
        "BAKS",
        "image mAP",
        "2 to 4",
        "expected calibration error",
        "the same, if they were exact",
        "no photo of the same encounter in the database",
        "reliability of the first answer",
    ):
        assert name in text
    content = json.loads((tmp_path / "m.json").read_text())
    rows = pd.DataFrame(content["rows"])
    assert (rows["n"] > 0).all() and sum(r["n"] for r in content["reliability"]) == 30
    top_1 = rows[(rows["name"] == "top-1") & (rows["group"] == "known animals")]
    queries = pd.read_csv(tmp_path / "q.csv")
    assert len(queries) == 30 and top_1["value"].item() > 0.5
    assert (queries["rank"] == 1).sum() / 18 == pytest.approx(top_1["value"].item())
    assert FusionCalibration.load(tmp_path / "f.json").answers.knows_new
    before = (tmp_path / "m.json").read_bytes()
    assert "--force" in run("evaluate", file, "--out", tmp_path / "m.json", status=1)
    assert before == (tmp_path / "m.json").read_bytes()


def test_nothing_is_learned_from_the_test(file, tmp_path):
    table = Embeddings.load(file).table
    table["all"] = table["split"].where(table.index % 2 == 0, "train")
    Embeddings(np.eye(len(table)), table).save(tmp_path / "f.npz")
    for column in ("split", "all"):
        options = ("--validation", column, "--out", tmp_path / "m.json")
        text = run("evaluate", tmp_path / "f.npz", *options, status=1)
        assert "The test split contains validation photos" in text
        assert f"Received: validation='{column}', split='split'" in text
    assert not (tmp_path / "m.json").exists()


def test_evaluate_several_models(file, tmp_path):
    other = make(tmp_path / "f.npz", seed=1)
    scores = []
    for sources in ((file,), (file, other)):
        run("evaluate", *sources, "--out", tmp_path / "m.csv", "--force")
        rows = pd.read_csv(tmp_path / "m.csv").set_index(["group", "name"])["value"]
        scores.append(rows["known animals", "MAP@5"])
    assert scores[1] > scores[0]
    text = run("evaluate", file, "--validation", "nothing")
    assert "photos of the database, each without its encounter" in text
    for options in (["--split", "nothing"], ["--top", "0"]):
        assert "Received: " in run("evaluate", file, *options, status=1)
    options = ("--validation", "nothing", "--save-calibration", tmp_path / "t.json")
    assert "Received: save_calibration=" in run("evaluate", file, *options, status=1)


def test_new_animals_are_known_from_an_open_validation_only(file, tmp_path):
    known = Embeddings.load(file)
    known = known.rows(known.table["val_split"] != "val_new")
    known.save(tmp_path / "closed.npz")
    saved, out = tmp_path / "c.json", tmp_path / "m.csv"
    closed = tmp_path / "closed.npz"
    run("evaluate", closed, "--out", out)
    calibration_by_hand(None).save(saved)
    rows = pd.read_csv(out)
    assert rows[rows["group"] == "open"]["name"].to_list() == ["AUROC of new"]
    options = ("--calibration", saved)
    text = run("submit", closed, closed, tmp_path / "s.csv", *options, status=1)
    assert "does not include new animals" in text and "Received: calibration=" in text
    assert "new_individual" not in run("identify", closed, *options)


def test_identify(file, tmp_path):
    parts = ("--query-rows", "split=test_known,test_new", "--database-rows")
    parts = (*parts, "split=train", "--top", 3)
    run("evaluate", file, "--save-calibration", tmp_path / "f.json")
    out = tmp_path / "r.csv"
    run("identify", file, "--out", out, *parts, "--calibration", tmp_path / "f.json")
    results = pd.read_csv(out)
    assert len(results) == 30 * 4 and results["rank"].max() == 4
    assert (results["identity"] == "new_individual").sum() == 30
    assert results["probability"].between(0, 1).all()
    known = results[results["identity"] != "new_individual"]
    assert (known["candidate"].str.split("_").str[0] == known["identity"]).all()
    assert "--force" in run("identify", file, "--out", out, status=1)
    text = run("identify", file, *parts, "--no-calibration")
    assert "%" not in text and "ranks only" in text
    # All photos of an animal are one encounter, so there is no data to fit.
    assert "0 pairs of one animal" in run("identify", file, *parts)
    text = run("identify", file, "--out", out, "--force")
    assert "not with itself" in text
    results = pd.read_csv(out)
    assert (results["image_id"] != results["candidate"]).all()
    for options in (("--query-rows", "a"), ("--encounters",)):
        assert "Received: " in run("identify", file, *options, status=1)


def test_numbers_are_refused_before_files_are_read(tmp_path):
    (tmp_path / "empty.npz").touch()
    for name in ("top", "shortlist", "side", "keypoints", "batch_size"):
        option = "--" + name.replace("_", "-")
        text = run("identify", tmp_path / "empty.npz", option, 0, status=1)
        assert f"Received: {name}=0" in text
    text = run("report", *[tmp_path / "empty.npz"] * 2, "--limit", -1, status=1)
    assert "Received: limit=-1" in text


def test_the_own_calibration_is_made_once(file, tmp_path):
    found = Embeddings.load(file)
    found.table["encounter"] = found.table["image_id"]
    found.save(file, force=True)
    kept, options = tmp_path / "e.calibration.json", ("--shortlist", 20)

    def identify(*more, told=True):
        text = run("identify", file, *options, *more)
        assert ("Calibration: 72 photos of the database" in text) == told
        return [line for line in text.splitlines() if "%" in line]

    answers = identify()
    assert len(answers) == 73 and FusionCalibration.load(kept).conditions
    assert identify(told=False) == answers  # Found beside the file.
    assert identify("--calibration", kept, told=False) == answers
    options = ("--shortlist", 9)  # A calibration with another value does not apply.
    identify(), identify(told=False)
    # With 10 % more rows it counts as the same catalog, with a third more as another.
    for name, extra, told in (("more", 7, False), ("many", 24, True)):
        grown = found.rows(range(extra))
        grown.table["image_id"] = [f"{name}_{row}" for row in range(extra)]
        grown = Embeddings.concatenate([found, grown])
        grown.save(file, force=True)
        assert ("Calibration: " in run("identify", file, *options)) == told
    before = kept.read_bytes()
    run("identify", file, "--query-rows", "identity=w0,w1,w2", *options)
    run("identify", file, "--no-calibration", *options)
    assert kept.read_bytes() == before  # A part of the file is another database.


def test_identify_photos_as_they_are(tmp_path):
    """Two folders and one damaged file give answers without preparation."""
    rng = np.random.default_rng(0)
    for number in range(3):
        noise = rng.integers(0, 256, (24, 24, 3), "uint8")
        image = Image.fromarray(noise).resize((192, 192), Image.Resampling.BICUBIC)
        (tmp_path / "known" / f"w{number}").mkdir(parents=True)
        image.save(tmp_path / "known" / f"w{number}" / "a.png")
        (tmp_path / "new").mkdir(exist_ok=True)
        image.rotate(5).save(tmp_path / "new" / f"{number}.png")
    (tmp_path / "new" / "damaged.png").write_bytes(b"no image")
    Image.new("RGB", (10, 10), "gray").save(tmp_path / "new" / "gray.png")
    options = ("--side", 192, "--region", "whole")
    text = run("identify", tmp_path / "new", "--database", tmp_path / "known", *options)
    for number in range(3):
        assert f"{number}.png: w{number}, " in text
    assert "skipped" in text and "damaged.png" in text and "gray.png: w" in text
    assert "no calibration" in text and "%" not in text


@pytest.mark.parametrize("new", [None, 0.0], ids=["closed", "open"])
def test_a_photo_without_keypoints_has_no_percentage(file, tmp_path, new):
    found, saved = Embeddings.load(file), tmp_path / "c.json"
    with_random_keypoints(found, empty=[1]).save(file, force=True)
    calibration_by_hand(new, KEYPOINTS).save(saved)
    options = ("--query-rows", "identity=w0", "--database-rows", "split=train")
    options += ("--calibration", saved)
    lines = run("identify", file, *options).splitlines()
    said = {line.split(":")[0]: line for line in lines if line.startswith("w0_")}
    missing = said.pop("w0_1")
    assert "%" not in missing and "(no keypoints found, so the animal cannot" in missing
    assert missing.startswith("w0_1: w") and "new_individual" not in missing
    assert len(said) == 5 and all("%" in line for line in said.values())
    condition = "(if the animal is in the catalog)"
    assert {condition in line for line in said.values()} == {new is None}
    run("identify", file, *options, "--out", tmp_path / "r.csv")
    table = pd.read_csv(tmp_path / "r.csv", keep_default_na=False)
    empty = table["image_id"] == "w0_1"
    assert empty.any() and ((table["probability"] == "") == empty).all()
    assert table["note"][empty].str.startswith("no keypoints").all()
    assert (table["note"][~empty] == (condition[1:-1] if new is None else "")).all()
    page = tmp_path / "r.html"
    run("report", file, file, *options, "--out", page, "--on-error", "skip")
    told = {
        q["id"]: q.get("note", "") for q in json.loads(read_page(page).data)["queries"]
    }
    assert told == dict(zip(table["image_id"], table["note"]))
    submit = ("submit", file, file, tmp_path / "s.csv", *options)
    if new is None:
        assert "does not include new animals" in run(*submit, status=1)
        return
    run(*submit, "--pseudo-labels", 0.01, tmp_path / "sure.csv")
    answers = pd.read_csv(tmp_path / "s.csv").set_index("image")["predictions"]
    assert all(name.startswith("w") for name in answers["w0_1"].split())
    assert "w0_1" not in set(pd.read_csv(tmp_path / "sure.csv")["image_id"])


def test_rows_that_cannot_be_used(file, tmp_path):
    whole = Embeddings.load(file)
    whole.features[3] = np.nan
    whole.save(tmp_path / "broken.npz")
    arguments = ("identify", tmp_path / "broken.npz", "--database", file)
    arguments = (*arguments, "--out", tmp_path / "r.csv")
    assert "['w0_3']" in run(*arguments, "--on-error", "stop", status=1)
    assert not (tmp_path / "r.csv").exists()
    assert "skipped w0_3" in run(*arguments)
    whole.features[:] = np.nan
    whole.save(tmp_path / "nothing.npz")
    pair, saved = (tmp_path / "nothing.npz", file), tmp_path / "c.json"
    calibration_by_hand().save(saved)
    for command in (
        ("identify", pair[0], "--database", pair[1], "--out", tmp_path / "n.csv"),
        ("identify", pair[1], "--database", pair[0], "--out", tmp_path / "n.csv"),
        ("submit", *pair, tmp_path / "n.csv", "--calibration", saved),
        ("report", *pair, "--out", tmp_path / "n.html"),
        ("evaluate", pair[0], "--out", tmp_path / "n.json"),
    ):
        text = run(*command, "--on-error", "skip", status=1)
        assert "no usable row. Received: rows=72" in text
    assert not list(tmp_path.glob("n.*"))
    assert pd.read_csv(tmp_path / "r.csv")["image_id"].nunique() == 71


def test_submit(file, tmp_path):
    out, sure = tmp_path / "s.csv", tmp_path / "sure.csv"
    saved = ("--calibration", tmp_path / "c.json")
    run("evaluate", file, "--save-calibration", saved[1])
    run(
        *("submit", file, file, out, "--query-rows", "split=test_known,test_new"),
        *("--database-rows", "split=train", *saved, "--pseudo-labels"),
        *(0.5, sure),
    )
    lines = pd.read_csv(out)
    # The animals of the last 12 queries have no photo in the database.
    first = lines["predictions"].str.split().str[0] == "new_individual"
    assert first[18:].mean() > 0.5 > first[:18].mean()
    assert list(lines) == ["image", "predictions"] and len(lines) == 30
    assert (lines["predictions"].str.split().str.len() == 5).all()
    assert set(pd.read_csv(sure)["split"]) <= {"train"}
    text = run("submit", file, file, out, *saved, status=1)
    assert "--force" in text
    sample = tmp_path / "sample_submission.csv"
    wanted = ["broken.jpg", *lines["image"]]
    pd.DataFrame({"image": wanted, "predictions": "x"}).to_csv(sample, index=False)
    queries = ("--query-rows", "split=test_known,test_new", *saved, "--force")
    text = run("submit", file, file, out, *queries, "--sample", sample)
    assert "1 photos without an answer" in text
    assert pd.read_csv(out)["image"].to_list() == wanted
    assert pd.read_csv(out)["predictions"][0] == "new_individual"
    text = run("submit", file, file, sample, *queries, "--sample", sample, status=1)
    assert "Received:" in text
    run("submit", file, file, out, *saved, "--force", "--form", "humpback")
    assert out.read_text().startswith("Image,Id\n")


def test_a_database_without_known_animals_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "loose.png").write_bytes(b"it would not even be read")
    text = run("identify", tmp_path, "--database", tmp_path / "loose.png", status=1)
    assert "one subfolder for each animal" in text
