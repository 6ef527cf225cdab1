"""`whale-id check`."""

from __future__ import annotations

from keras_involution.whale_id import read_table, write_table
from tests.marks import one_backend
from tests.whale_id.command import run
from tests.whale_id.image_files import FINS, animals

pytestmark = one_backend


def test_nothing_wrong():
    assert "10 rows: no problems" in run("check", FINS / "metadata.csv")


def test_broken_rows_are_named_and_repaired(tmp_path):
    table = animals(tmp_path, {"A": 2, "B": 1})
    (tmp_path / "B_0.png").write_text("no image")
    write_table(table, tmp_path / "t.csv")
    text = run("check", tmp_path / "t.csv", status=1)
    assert "row 2 (B_0): undecodable: " in text and "3 rows: 1 undecodable" in text

    fixed = tmp_path / "fixed.csv"
    run("check", tmp_path / "t.csv", "--fix", fixed)
    assert read_table(fixed)["image_id"].to_list() == ["A_0", "A_1"]
    assert "--force" in run("check", tmp_path / "t.csv", "--fix", fixed, status=1)
    fixed.write_text("old")
    run("check", tmp_path / "t.csv", "--fix", fixed, "--force")
    assert "no problems" in run("check", fixed)


def test_options(tmp_path):
    table = animals(tmp_path / "images", {"A": 2})
    table = table.assign(path=["A_0.png", "A_1.png"], bbox=["[0, 0, 99, 99]", ""])
    table.to_csv(tmp_path / "t.csv", index=False)
    assert "2 missing" in run("check", tmp_path / "t.csv", status=1)
    options = ("check", tmp_path / "t.csv", "--images", tmp_path / "images")
    assert "1 box" in run(*options, status=1)
    run(*options, "--no-boxes", "--workers", 1)


def test_help_lists_the_commands():
    assert "check" in run("--help")
    run("nothing", status=2)
    assert "Received: " in run("check", __file__, status=1)
