"""Output files are checked before the work and never replace other content."""

from __future__ import annotations

import csv
import json
import os

import numpy as np
import pandas as pd
import pytest

from keras_involution._files import check_outputs, check_writable
from keras_involution.whale_id import (
    Embeddings,
    Evaluation,
    Ranking,
    TrainConfig,
    identify,
    read_table,
    results_table,
    write_eda,
    write_report,
    write_results,
    write_submission,
    write_table,
)
from tests.marks import one_backend
from tests.whale_id.calibrations import calibration_by_hand
from tests.whale_id.command import run
from tests.whale_id.image_files import animals, listed

pytestmark = one_backend


@pytest.fixture
def file(tmp_path):
    """Six photos of three animals, two each."""
    table = listed({"A": 2, "B": 2, "C": 2}, split=["train", "test"] * 3)
    features = np.random.default_rng(0).normal(size=(6, 4))
    Embeddings(features, table).save(tmp_path / "e.npz")
    return tmp_path / "e.npz"


@pytest.mark.parametrize("suffix", (".xlsx", ".tsv", ""))
def test_suffixes_that_nobody_writes(file, tmp_path, suffix):
    embeddings, out = Embeddings.load(file), tmp_path / f"out{suffix}"
    ranking = identify(embeddings, embeddings)
    results = results_table(ranking, embeddings.table)
    evaluation = Evaluation(results, results, {})
    for write in (
        lambda: write_table(embeddings.table, out),
        lambda: write_results(results, out),
        lambda: embeddings.save(out),
        lambda: evaluation.save(out),
        lambda: write_submission(ranking, embeddings.table["image_id"], out),
    ):
        with pytest.raises(ValueError, match=r"must end in \..*Received: path="):
            write()
    assert not out.exists()


def test_commands_refuse_a_suffix_before_the_work(file, tmp_path):
    write_table(animals(tmp_path, {"A": 2}), tmp_path / "t.csv")
    wrong, table = tmp_path / "o.xlsx", tmp_path / "t.csv"
    for arguments in (
        ("check", table, "--fix", wrong),
        ("split", table, wrong),
        ("embed", table, tmp_path, wrong),  # There is no network to embed with.
        ("identify", file, "--out", wrong),
        ("submit", file, file, wrong, "--calibration", file),
        ("submit", file, file, tmp_path / "s.csv", "--calibration", file,
         "--pseudo-labels", 0.5, wrong),
        *(("evaluate", file, option, wrong) for option in
          ("--out", "--per-query", "--save-calibration", "--save-embeddings")),
    ):  # fmt: skip
        text = run(*arguments, status=1)
        assert "must end in ." in text and "o.xlsx" in text, arguments
    assert not wrong.exists()


def test_one_name_for_two_files(file, tmp_path):
    (tmp_path / "sub").mkdir()
    same = tmp_path / "sub" / ".." / "x.json"
    options = ("--out", tmp_path / "x.json", "--save-calibration", same)
    text = run("evaluate", file, *options, status=1)
    assert "save_calibration" in text and "are the same file" in text
    out = tmp_path / "s.csv"
    options = ("--calibration", file, "--pseudo-labels", 0.5, out)
    assert "the same file" in run("submit", file, file, out, *options, status=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.npz", "sub"]
    check_outputs(False, out=(tmp_path / "a.csv", [".csv"]), other=(None, []))


def test_places_that_cannot_be_written_to(file, tmp_path, monkeypatch):
    for out in (file / "o.csv", file / "deeper" / "o.csv"):
        with pytest.raises(ValueError, match=r"not a folder.*Received: path="):
            check_writable(out, False)
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    text = run("identify", file, "--out", tmp_path / "new" / "o.csv", status=1)
    assert "is not writable" in text


ANIMALS = ['Ann, "the" whale', "O'Brien", "=1+1"]


@pytest.fixture
def named(tmp_path):
    table = listed(dict.fromkeys(ANIMALS, 2), number=[1, 2] * 3)
    table["image_id"] = list("abcdef")
    Embeddings(np.eye(6), table).save(tmp_path / "n.npz")
    return tmp_path / "n.npz"


@pytest.mark.parametrize(
    "options, expected",
    (
        ([f"identity={ANIMALS[0]}"], "ab"),
        ([f"identity={ANIMALS[0]}", "identity==1+1"], "abef"),
        (["identity==1+1,O'Brien"], "cdef"),
        (["identity=O'Brien,=1+1", "number=2"], "df"),
        (["identity=O'Brien,nobody"], "cd"),
    ),
)
@pytest.mark.parametrize("command", ("identify", "report"))
def test_any_animal_can_be_asked_for(named, tmp_path, options, expected, command):
    asked = [part for option in options for part in ("--query-rows", option)]
    pair = (named, "--database", named)
    if command == "report":
        shown = ("--out", tmp_path / "r.html", "--on-error", "skip")
        text = run("report", named, named, *asked, *shown)
        assert f"{len(expected)} of {len(expected)} photos" in text
        return
    text = run("identify", *pair, "--out", tmp_path / "r.csv", *asked)
    assert "".join(pd.read_csv(tmp_path / "r.csv")["image_id"].unique()) == expected
    assert ("no row has identity='nobody'" in text) == ("nobody" in str(options))


def test_rows_that_are_not_there(named, tmp_path):
    for rows in ("identity=nobody,none", "identity", "nothing=1", "number=3"):
        options = ("--query-rows", rows)
        text = run("identify", named, *options, status=1)
        assert "Received: " in text


def evaluated(tmp_path, identities, **options):
    # Two more rows of the training split are used for validation.
    tests = len(identities) - 2
    columns = {
        "split": ["train"] * 4 + ["test"] * tests,
        "val_split": ["train"] * 2 + ["val"] * 2 + [""] * tests,
        "identity": [*identities[:2], identities[0], "unknown", *identities[2:]],
    }
    table = listed({"x": tests + 4}).assign(**columns)
    file, random = tmp_path / "v.npz", np.random.default_rng(1)
    features = random.normal(size=(len(table), 4))
    Embeddings(features, table).save(file, force=True)
    text = run("evaluate", file, "--out", tmp_path / "m.json", "--force")
    refuse = {"parse_constant": lambda name: pytest.fail(f"{name} is no JSON")}
    content = json.loads((tmp_path / "m.json").read_text(), **refuse)
    assert "nan" not in text
    assert all(None not in row.values() for row in content["rows"])
    return text, {(row["group"], row["name"]) for row in content["rows"]}


@pytest.mark.filterwarnings("error")
def test_figures_that_cannot_be_computed_are_left_out(tmp_path):
    text, rows = evaluated(tmp_path, ["A", "B", "C", "D", "unknown"])
    assert (
        "left out: known animals" in text and "BAKS and MAP@5 of known: every" in text
    )
    assert rows == set()
    text, rows = evaluated(tmp_path, ["A", "B", "A", "B"])
    assert "left out: open" in text
    assert {group for group, _ in rows} == {"known animals"}
    text, rows = evaluated(tmp_path, ["A", "B", "A", "D"])
    assert "left out" not in text and ("open", "AUROC of new") in rows


def test_csv_files_keep_every_name(tmp_path):
    names = ["a\rb", 'Ann, "the"\nwhale', "=1+1", "@x", "-2", "+3", "'=4"]
    ranking = Ranking([[n] for n in names], [[0.5]] * len(names))
    table = listed({"q": len(names)}).assign(identity=names)
    write_results(results_table(ranking, table), tmp_path / "r.csv")
    write_table(table, tmp_path / "t.csv")
    Embeddings(np.eye(len(names)), table).save(tmp_path / "e.csv")
    for name in ("r.csv", "t.csv", "e.csv"):
        with open(tmp_path / name, newline="", encoding="utf-8") as file:
            assert [row["identity"] for row in csv.DictReader(file)] == names
        read = pd.read_csv(tmp_path / name, dtype=str)
        assert read["identity"].to_list() == names


def test_a_repair_that_leaves_nothing_is_no_repair(tmp_path):
    table = animals(tmp_path, {"A": 1, "B": 1})
    for path in table["path"]:
        os.truncate(path, 20)
    write_table(table, tmp_path / "t.csv")
    (tmp_path / "fixed.csv").write_text("old")
    options = ("--fix", tmp_path / "fixed.csv", "--force")
    text = run("check", tmp_path / "t.csv", *options, status=1)
    assert "row 1 (B_0): undecodable" in text and "No row would be left" in text
    assert (tmp_path / "fixed.csv").read_text() == "old"


def test_what_a_spreadsheet_would_run_is_named(tmp_path):
    table = animals(tmp_path, {"A": 2, "B": 1})
    table["identity"] = ["=HYPERLINK(1)", "ordinary", "-12.5"]
    table["image_id"] = ["a", "@b", "c"]
    write_table(table, tmp_path / "t.csv")
    text = run("check", tmp_path / "t.csv")
    assert "row 0 (a): formula: the identity '=HYPERLINK(1)'" in text
    assert "row 1 (@b): formula: the image_id '@b'" in text
    assert "3 rows: 2 formula" in text and "row 2" not in text
    run("check", tmp_path / "t.csv", "--fix", tmp_path / "fixed.csv")
    fixed = pd.read_csv(tmp_path / "fixed.csv", dtype=str)
    assert fixed["identity"].to_list() == table["identity"].to_list()


def test_nothing_that_is_read_is_replaced(file, tmp_path):
    before, out = file.read_bytes(), tmp_path / "sub" / ".." / "e.npz"
    (tmp_path / "sub").mkdir()
    copy = tmp_path / "e.csv"
    Embeddings.load(file).save(copy)
    answers = ("--calibration", file, "--force")
    for arguments in (
        ("identify", file, "--out", copy, "--database", copy, "--force"),
        ("identify", copy, "--out", copy, "--force"),
        ("identify", file, "--save-queries", out, "--force"),
        ("submit", copy, file, copy, *answers),
        ("evaluate", copy, "--out", copy, "--force"),
        ("evaluate", copy, "--per-query", copy, "--force"),
        ("embed", copy, tmp_path, copy, "--force"),
    ):
        text = run(*arguments, status=1)
        assert "would replace a file that the command reads" in text, arguments
    assert file.read_bytes() == before


def test_pages_are_html(file, tmp_path):
    write_table(animals(tmp_path, {"A": 2}), tmp_path / "t.csv")
    before = (tmp_path / "t.csv").read_bytes()
    for arguments in (("eda", tmp_path / "t.csv"), ("report", file, file)):
        text = run(*arguments, "--out", tmp_path / "t.csv", "--force", status=1)
        assert "must end in .html or .htm" in text
    embeddings = Embeddings.load(file)
    ranking = identify(embeddings, embeddings)
    for write in (
        lambda out: write_eda(embeddings.table, out, force=True),
        lambda out: write_report(
            ranking, embeddings.table, embeddings.table, out, force=True
        ),
    ):
        with pytest.raises(ValueError, match=r"end in \.html or \.htm"):
            write(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == before


def test_figures_do_not_hang_on_how_many_animals_are_kept(tmp_path):
    table = listed(dict.fromkeys("ABCDEF", 2), split=["train", "test"] * 6)
    features = np.random.default_rng(0).normal(size=(12, 4))
    Embeddings(features, table).save(tmp_path / "e.npz")
    few, many = tmp_path / "few.json", tmp_path / "many.json"
    for top, out in ((1, few), (10, many)):
        run("evaluate", tmp_path / "e.npz", "--top", top, "--out", out)
    assert few.read_text() == many.read_text()
    assert '"top-5"' in few.read_text()
    parts = (tmp_path / "e.npz", tmp_path / "e.npz")
    calibration_by_hand().save(tmp_path / "c.json")
    answers = ("--top", 1, "--calibration", tmp_path / "c.json")
    run("submit", *parts, tmp_path / "s.csv", *answers)
    rows = pd.read_csv(tmp_path / "s.csv")["predictions"].str.split()
    assert set(rows.map(len)) == {5}


def test_settings_are_written_completely_or_not_at_all(tmp_path, monkeypatch):
    TrainConfig(epochs=3).save(tmp_path / "config.yaml")
    before = (tmp_path / "config.yaml").read_bytes()

    def full(*_, **__):
        raise OSError("no space left on the device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        TrainConfig(epochs=4).save(tmp_path / "config.yaml")
    assert (tmp_path / "config.yaml").read_bytes() == before


def test_suffixes_in_capitals(tmp_path):
    table = listed({"A": 2})
    write_table(table, tmp_path / "t.PARQUET")
    assert read_table(tmp_path / "t.PARQUET")["identity"].to_list() == ["A", "A"]
