"""`whale-id evaluate`, `identify` and `submit` on files of embeddings."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from keras_involution.whale_id import Calibration, Embeddings, Threshold
from tests.marks import one_backend
from tests.whale_id.command import run
from tests.whale_id.pictures import listed

pytestmark = one_backend


def make(path, seed=0, noise=0.6):
    """Animals as directions, photographs as directions with noise; two are new."""
    counts = {f"w{i}": 6 for i in range(12)}
    table = listed(counts, photo_number=list(range(72)))
    parts = ["train", "train", "train", "train", "test_known", "test_known"] * 9
    table["split"] = parts + ["train"] * 6 + ["test_new"] * 12
    validation = ["train", "train", "train", "val_known", "", ""] * 9
    table["val_split"] = validation + ["val_new"] * 6 + [""] * 12
    random = np.random.default_rng(seed)
    centres = random.normal(size=(12, 8)).repeat(6, axis=0)
    features = centres + noise * random.normal(size=centres.shape)
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
        *("--save-threshold", tmp_path / "t.json"),
        *("--save-calibration", tmp_path / "c.json"),
    )
    assert "30, of them 12 of animals not in the database" in text
    assert "grid: best MAP@5" in text and "15 validation queries, 40.0% of them" in text
    for name in (
        "top-1",
        "MAP@5 of new",
        "AUROC of new",
        "BAKS",
        "image mAP",
        "2 to 4",
    ):
        assert name in text
    rows = pd.DataFrame(json.loads((tmp_path / "m.json").read_text())["rows"])
    top_1 = rows[rows["name"] == "top-1"]["value"].item()
    queries = pd.read_csv(tmp_path / "q.csv")
    assert len(queries) == 30 and top_1 > 0.5
    assert (queries["rank"] == 1).sum() / 18 == pytest.approx(top_1)
    assert Threshold.load(tmp_path / "t.json").curve
    assert "15 validation queries" in Calibration.load(tmp_path / "c.json").protocol
    before = (tmp_path / "m.json").read_bytes()
    assert "--force" in run("evaluate", file, "--out", tmp_path / "m.json", status=1)
    assert before == (tmp_path / "m.json").read_bytes()


def test_a_threshold_is_never_chosen_on_the_test(file, tmp_path):
    table = Embeddings.load(file).table
    table["all"] = table["split"].where(table.index % 2 == 0, "train")
    Embeddings(np.eye(len(table)), table).save(tmp_path / "f.npz")
    for column in ("split", "all"):
        options = ("--validation", column, "--out", tmp_path / "m.json")
        text = run("evaluate", tmp_path / "f.npz", *options, status=1)
        assert "of the validation are in the test too" in text
        assert f"Received: validation='{column}', split='split'" in text
    assert not (tmp_path / "m.json").exists()


def test_evaluate_several_models_and_methods(file, tmp_path):
    other = make(tmp_path / "f.npz", seed=1)
    both = run("evaluate", file, other, "--method", "share", "--share", 0.3)
    assert "share: 30.0% called new first" in both and "image mAP" not in both
    assert "threshold: given: 0.5" in run("evaluate", file, "--threshold", 0.5)
    assert "threshold: none" in run("evaluate", file, "--validation", "nothing")
    for options in (["--split", "nothing"], ["--method", "share"], ["--top", "0"]):
        assert "Received: " in run("evaluate", file, *options, status=1)
    options = ("--validation", "nothing", "--save-threshold", tmp_path / "t.json")
    assert "Received: save_threshold=" in run("evaluate", file, *options, status=1)


def test_identify(file, tmp_path):
    parts = ("--query-rows", "split=test_known,test_new", "--database-rows")
    parts = (*parts, "split=train")
    run("evaluate", file, "--save-calibration", tmp_path / "c.json")
    out = tmp_path / "r.csv"
    options = ("--threshold", 0.8, "--calibration", tmp_path / "c.json", "--top", 3)
    run("identify", file, file, out, *parts, *options)
    results = pd.read_csv(out)
    assert len(results) == 30 * 4
    assert results["rank"].max() == 4
    assert (results["identity"] == "new_individual").sum() == 30
    known = results[results["identity"] != "new_individual"]
    assert known["confidence"].between(0, 1).all()
    assert results["confidence"].isna().sum() == 30
    assert (known["candidate"].str.split("_").str[0] == known["identity"]).all()
    assert "--force" in run("identify", file, file, out, status=1)
    run("identify", file, file, out, "--force", "--leave-one-out", "--also", file, file)
    results = pd.read_csv(out)
    assert (results["image_id"] != results["candidate"]).all()
    text = run(
        "identify", file, file, tmp_path / "x.csv", "--query-rows", "a", status=1
    )
    assert "Received: rows='a'" in text


def test_rows_that_cannot_be_used(file, tmp_path):
    whole = Embeddings.load(file)
    whole.features[3] = np.nan
    whole.save(tmp_path / "broken.npz")
    arguments = ("identify", tmp_path / "broken.npz", file, tmp_path / "r.csv")
    assert "['w0_3']" in run(*arguments, status=1)
    assert not (tmp_path / "r.csv").exists()
    assert "skipped w0_3" in run(*arguments, "--on-error", "skip")
    whole.features[:] = np.nan
    whole.save(tmp_path / "nothing.npz")
    pair = (tmp_path / "nothing.npz", file)
    for command in (
        ("identify", *pair, tmp_path / "n.csv"),
        ("identify", *pair[::-1], tmp_path / "n.csv"),
        ("submit", *pair, tmp_path / "n.csv", "--threshold", 0.5),
        ("report", *pair, "--out", tmp_path / "n.html"),
        ("evaluate", pair[0], "--out", tmp_path / "n.json"),
    ):
        text = run(*command, "--on-error", "skip", status=1)
        assert "can be used. Received: rows=72" in text
    assert not list(tmp_path.glob("n.*"))
    assert pd.read_csv(tmp_path / "r.csv")["image_id"].nunique() == 71


def test_submit(file, tmp_path):
    out, sure = tmp_path / "s.csv", tmp_path / "sure.csv"
    run("evaluate", file, "--save-threshold", tmp_path / "t.json")
    run(
        *("submit", file, file, out, "--query-rows", "split=test_new"),
        *("--database-rows", "split=train", "--threshold", tmp_path / "t.json"),
        *("--pseudo-labels", 0.5, sure),
    )
    lines = pd.read_csv(out)
    assert list(lines) == ["image", "predictions"] and len(lines) == 12
    assert (lines["predictions"].str.split().str.len() == 5).all()
    assert set(pd.read_csv(sure)["split"]) <= {"train"}
    text = run("submit", file, file, out, "--threshold", 0.5, status=1)
    assert "--force" in text
    sample = tmp_path / "sample_submission.csv"
    wanted = ["broken.jpg", *lines["image"]]
    pd.DataFrame({"image": wanted, "predictions": "x"}).to_csv(sample, index=False)
    queries = ("--query-rows", "split=test_new", "--threshold", 0.5, "--force")
    text = run("submit", file, file, out, *queries, "--sample", sample)
    assert "1 of them have no answer" in text
    assert pd.read_csv(out)["image"].to_list() == wanted
    assert pd.read_csv(out)["predictions"][0] == "new_individual"
    text = run("submit", file, file, sample, *queries, "--sample", sample, status=1)
    assert "Received:" in text
    run("submit", file, file, out, "--threshold", 0.5, "--force", "--form", "humpback")
    assert out.read_text().startswith("Image,Id\n")
