"""Tables after applying decisions, with their history."""

from __future__ import annotations

import pandas as pd
import pytest

from keras_involution.whale_id import (
    apply_decisions,
    catalog,
    read_decisions,
    read_table,
    undo_decisions,
    write_table,
)
from tests.marks import one_backend
from tests.whale_id.command import run
from tests.whale_id.image_files import animals, listed

pytestmark = one_backend

TABLE = listed({"A": 2, "B": 2, "unknown": 3})
HEAD = "image_id,decision,identity,rank,score,confidence,who,when\n"


def decided(*rows) -> pd.DataFrame:
    names = ("decision", "image_id", "identity", "into")
    return pd.DataFrame([dict(zip(names, row)) for row in rows])


def identities(table) -> dict[str, str]:
    return dict(zip(table["image_id"], table["identity"]))


CASES = {
    "assign": ([("accept", "unknown_0", "A")], {"unknown_0": "A"}),
    "assign another": ([("accept", "A_0", "B")], {"A_0": "B"}),
    "an animal of another table": ([("accept", "A_0", "Z")], {"A_0": "Z"}),
    "new, without a name": (
        [("new", "unknown_0", "new_individual"), ("new", "unknown_1", "")],
        {"unknown_0": "new_1", "unknown_1": "new_2"},
    ),
    "new, one animal twice": (
        [("new", "unknown_0", "Luna"), ("new", "unknown_1", "Luna")],
        {"unknown_0": "Luna", "unknown_1": "Luna"},
    ),
    "rejected": ([("reject", "unknown_0", "A")], {}),
    "merge": ([("merge", "", "A", "B")], {"A_0": "B", "A_1": "B"}),
    "rename": ([("rename", "", "A", "Luna")], {"A_0": "Luna", "A_1": "Luna"}),
    "split": ([("split", "A_1", "A", "Luna")], {"A_1": "Luna"}),
    "split in two and assign": (
        [
            ("split", "A_0", "A", "Luna"),
            ("split", "A_1", "A", "Luna"),
            ("accept", "unknown_0", "Luna"),
        ],
        {"A_0": "Luna", "A_1": "Luna", "unknown_0": "Luna"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_decisions_change_and_undo_takes_back(name):
    rows, changed = CASES[name]
    before = TABLE.copy()
    table, history = apply_decisions(
        TABLE, decided(*rows), who="Ann", when="2026-11-28"
    )
    assert identities(table) == identities(TABLE) | changed
    pd.testing.assert_frame_equal(TABLE, before)
    assert set(history["who"]) == {"Ann"} and set(history["step"]) == {1}
    moved = history[history["before"] != history["after"]]
    assert dict(zip(moved["image_id"], moved["after"])) == changed
    back, longer = undo_decisions(table, history, who="Bob")
    pd.testing.assert_frame_equal(back, TABLE)
    assert len(longer) == 2 * len(history) and set(longer["who"]) == {"Ann", "Bob"}


WRONG = {
    "unknown photo": ([("accept", "Z_9", "A")], "not in the table"),
    "two animals": (
        [("accept", "A_0", "B"), ("accept", "A_0", "C")],
        "one photo to different animals",
    ),
    "merge of nobody": ([("merge", "", "Z", "A")], "The animal is not in the table"),
    "merge into nobody": ([("merge", "", "A", "Z")], "The animal is not in the table"),
    "rename to another": ([("rename", "", "A", "B")], "already used in the table"),
    "split of another": ([("split", "A_0", "B", "Luna")], "different animal than"),
    "split into another": ([("split", "A_0", "A", "B")], "already used in"),
    "new with a known name": ([("new", "unknown_0", "A")], "already used in"),
    "a name of new animals": ([("accept", "A_0", "new_whale")], "reserved for new"),
    "no such decision": ([("maybe", "A_0", "B")], "A decision must be one of"),
    "accept nobody": ([("accept", "A_0", "")], "accept needs identity"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_applied_changes_nothing(name):
    rows, match = WRONG[name]
    with pytest.raises(ValueError, match=f"{match}.*Received: "):
        apply_decisions(TABLE, decided(("accept", "unknown_2", "A"), *rows))


def test_history_goes_on_and_undo_goes_back_step_by_step():
    one, history = apply_decisions(TABLE, decided(("accept", "unknown_0", "A")))
    two, history = apply_decisions(one, decided(("merge", "", "A", "B")), history)
    back, history = undo_decisions(two, history)
    assert identities(back) == identities(one)
    back, history = undo_decisions(back, history)
    assert identities(back) == identities(TABLE)
    with pytest.raises(ValueError, match="no decision to undo"):
        undo_decisions(back, history)
    assert sorted(set(history["step"])) == [1, 2, 3, 4]
    again, history = apply_decisions(back, decided(("rename", "", "A", "Z")), history)
    assert identities(undo_decisions(again, history)[0]) == identities(TABLE)


def test_undo_refuses_a_table_that_has_changed():
    table, history = apply_decisions(TABLE, decided(("accept", "unknown_0", "A")))
    table["identity"] = "B"
    with pytest.raises(ValueError, match=r"different animal than.*expected='A'"):
        undo_decisions(table, history)


def test_repeated_photos_are_refused():
    table = pd.concat([TABLE, TABLE], ignore_index=True)
    with pytest.raises(ValueError, match="twice in the table"):
        apply_decisions(table, decided(("accept", "unknown_0", "A")))


def test_names_guarded_from_spreadsheets_come_back(tmp_path):
    names = ["=1+1", "@SUM(1)", "-2+3", "'=5", "-12.5", "'Ehu", "+4-1", "O'Neil"]
    written = ["'=1+1", "'@SUM(1)", "'-2+3", "''=5", "-12.5", "'Ehu", "'+4-1", "O'Neil"]
    rows = "".join(f"{n},accept,{n},1,0.5,,,\r\n" for n in written)
    (tmp_path / "d.csv").write_text(HEAD + rows, newline="")
    found = read_decisions(tmp_path / "d.csv")
    assert found["identity"].to_list() == found["image_id"].to_list() == names


@pytest.mark.parametrize(
    "text", ["", "image_id,identity\n1,A\n", HEAD + "1,maybe,A,,,,,\n", "\xff\xfe\x00"]
)
def test_damaged_decisions(tmp_path, text):
    (tmp_path / "d.csv").write_text(text, "latin-1")
    with pytest.raises(ValueError, match=r"The decisions cannot be read: .*d\.csv"):
        read_decisions(tmp_path / "d.csv")


def test_command(tmp_path):
    table = animals(tmp_path, {"A": 2, "unknown": 2})
    source = tmp_path / "t.csv"
    write_table(table, source)
    rows = "unknown_0,accept,A,1,0.5,,Ann,2026-01-01T00:00:00Z\n"
    (tmp_path / "d.csv").write_text(HEAD + rows + "unknown_1,new,Luna,,,,,\n")
    text = run("apply", tmp_path / "d.csv", source, "--who", "Bob")
    assert "step 1: 1 accept, 1 new" in text
    out = tmp_path / "t_decided.csv"
    assert read_table(out)["identity"].to_list() == ["A", "A", "A", "Luna"]
    history = catalog.read_history(catalog.history_path(out))
    assert history["who"].to_list() == ["Ann", "Bob"]
    assert history["when"][0] == "2026-01-01T00:00:00Z" < history["when"][1]
    assert "--force" in run("apply", tmp_path / "d.csv", source, status=1)

    options = ("--rename", "Luna", "Sol", "--split", "A_1", "Mar", "--out", out)
    assert "step 2: 1 rename, 1 split" in run("apply", out, *options, "--force")
    assert read_table(out)["identity"].to_list() == ["A", "Mar", "A", "Sol"]
    for _ in range(2):
        run("apply", "--undo", out, "--out", out, "--force")
    assert read_table(out)["identity"].to_list() == table["identity"].to_list()
    assert len(catalog.read_history(catalog.history_path(out))) == 8
    for wrong in ((out,), (tmp_path / "d.csv", out, "--undo")):
        assert "Give DECISIONS and TABLE" in run("apply", *wrong, status=1)


def test_photos_of_a_further_table_are_joined(tmp_path):
    known = animals(tmp_path / "known", {"A": 2})
    asked = animals(tmp_path / "asked", {"unknown": 1})
    write_table(known, tmp_path / "known.csv")
    write_table(asked, tmp_path / "asked.csv")
    (tmp_path / "d.csv").write_text(HEAD + "unknown_0,accept,A,1,0.5,,,\n")
    paths = (tmp_path / "d.csv", tmp_path / "known.csv")
    assert "`--add` adds" in run("apply", *paths, status=1)
    run("apply", *paths, "--add", tmp_path / "asked.csv")
    table = read_table(tmp_path / "known_decided.csv")
    assert table["identity"].to_list() == ["A", "A", "A"]
    assert not [path for path in table["path"] if not (tmp_path / path).is_file()]
