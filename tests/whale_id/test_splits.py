"""The guarantees of each split protocol, on generated tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from keras_involution.whale_id import read_table, split_table, write_table
from keras_involution.whale_id.splits import find_copies, find_encounters
from tests.whale_id.command import run
from tests.whale_id.image_files import FINS, animals, listed

MANY = {f"w{i}": 1 + i % 7 for i in range(60)}


def of(table, part, column="split") -> set[str]:
    return set(table["identity"][table[column] == part])


@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(1, 12), min_size=3, max_size=30),
    test=st.floats(0.05, 0.6),
    seed=st.integers(0, 5),
)
def test_closed(counts, test, seed):
    table = listed({f"w{i}": n for i, n in enumerate([*counts, 3])})
    split = split_table(table, test=test, seed=seed)
    assert of(split, "test") <= of(split, "train") == set(table["identity"])
    assert 0 < (split["split"] == "test").sum() <= max(1, test * len(table))


def test_closed_reaches_its_fraction_and_the_seed_counts():
    table = listed(MANY)
    first, again, other = (split_table(table, seed=s)["split"] for s in (0, 0, 1))
    assert (first == "test").sum() == int(0.2 * len(table))
    assert first.equals(again) and not first.equals(other)


def test_the_order_of_rows_does_not_count():
    table = listed(
        MANY, date=[f"20{i % 23:02}-01-01" for i in range(sum(MANY.values()))]
    )
    shuffled = table.sample(frac=1, random_state=3)
    for protocol in ("closed", "open", "disjoint", "folds", "time"):
        split = split_table(table, protocol)["split"]
        again = split_table(shuffled, protocol)["split"]
        assert again.sort_index().equals(split), protocol


def test_the_split_is_the_same_on_every_machine():
    """Compares with a stored result; another hash or order would differ."""
    split = split_table(listed({"A": 4, "B": 3, "C": 2, "D": 1}), "open", new=0.2)
    letters = {"train": "t", "test_known": "k", "test_new": "n"}
    assert "".join(split["split"].map(letters)) == "ktttkttttn"


def test_open():
    table = listed(MANY | {"unknown": 4})
    split = split_table(table, "open", test=0.2, new=0.15)
    new = of(split, "test_new")
    assert "unknown" in new and len(new) > 2
    assert not new & (of(split, "train") | of(split, "test_known"))
    assert of(split, "test_known") <= of(split, "train")
    known = split[split["identity"] != "unknown"]
    fractions = known["split"].value_counts(normalize=True)
    assert abs(fractions["test_new"] - 0.15) < 0.01
    assert abs(fractions["test_known"] - 0.2) < 0.01


def test_unknown_animals_never_train():
    table = listed(MANY | {"unknown": 4}, date=None)
    for protocol in ("closed", "disjoint", "folds"):
        split = split_table(table, protocol)
        assert set(split["split"][split["identity"] == "unknown"]) == {""}


def test_disjoint_and_folds():
    table = listed(MANY)
    split = split_table(table, "disjoint")
    assert not of(split, "test") & of(split, "train")
    tested = []
    for fold in range(4):
        split = split_table(table, "folds", folds=4, fold=fold)
        assert not of(split, "test") & of(split, "train")
        tested += split.index[split["split"] == "test"].to_list()
        fraction = (split["split"] == "test").mean()
        assert abs(fraction - 0.25) < 0.02
    assert sorted(tested) == table.index.to_list()


@pytest.mark.parametrize("protocol", ["closed", "open", "disjoint", "folds", "time"])
def test_encounters_stay_together(protocol):
    count = sum(MANY.values())
    bursts = [f"e{i // 3}" if i % 11 else None for i in range(count)]
    dates = [f"2019-01-{1 + i % 28:02}" for i in range(count)]
    table = listed(MANY, encounter=bursts, date=dates)
    split = split_table(table, protocol, encounters="encounter")
    sides = split.assign(side=split["split"] == "train").dropna(subset=["encounter"])
    assert (sides.groupby("encounter")["side"].nunique() == 1).all()
    assert sides["side"].nunique() == 2
    without = split_table(table, protocol, encounters=None).assign(encounter=bursts)
    sides = without.assign(side=without["split"] == "train")
    assert (sides.groupby("encounter")["side"].nunique() > 1).any()


@pytest.mark.parametrize(
    "columns",
    [
        {"encounter": [f"e{i // 3}" for i in range(240)]},
        {"date": [f"2019-05-30 {i % 24:02}:{i % 60:02}:00" for i in range(240)]},
        {"date": [f"2019-01-{1 + i % 5:02}" for i in range(240)]},
        {"photo_number": [(i // 2) * 40 + i % 2 * 9 for i in range(240)]},
        {"path": [f"DSCN{(i // 3) * 40 + i % 3 * 4:04}.jpg" for i in range(240)]},
    ],
    ids=["encounter", "time", "day", "counter", "file names"],
)
def test_encounters_are_found_by_default(columns):
    counts = {f"w{i}": 8 for i in range(30)}
    table = listed(counts)
    for name, values in columns.items():
        table[name] = values
    found = find_encounters(table)
    assert found.found and 30 < found.names.nunique() < 240
    split = split_table(table, "open", test=0.3)
    sides = split.assign(side=split["split"] == "train", name=found.names)
    assert (sides.groupby("name")["side"].nunique() == 1).all()
    assert {"train", "test_known", "test_new"} == set(split["split"])


def test_what_tells_no_encounters():
    table = listed({"A": 3}, date=[None, "", "2020-01-01"])
    assert not find_encounters(table).found
    assert find_encounters(table).names.nunique() == 3
    with pytest.raises(ValueError, match="Received: column='burst'"):
        find_encounters(table, "burst")
    gaps = listed({"A": 3, "B": 1}, photo_number=[1, 11, 22, 2])
    names = find_encounters(gaps).names
    assert names[0] == names[1] and names.nunique() == 3
    assert find_encounters(gaps, frames=11).names.nunique() == 2


def test_the_time_in_the_photos(tmp_path):
    table = animals(tmp_path, {"A": 3})
    for number, path in enumerate(table["path"]):
        image = Image.open(path)
        exif = Image.Exif()
        taken = f"2020:01:0{1 + number // 2} 10:0{number}:00"
        exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: taken}
        image.save(path, exif=exif)
    found = find_encounters(table, files=True)
    assert found.source == "the time in the photos"
    assert found.names.nunique() == 2 and found.names[0] == found.names[1]


def test_copies_stay_on_one_side_and_are_named(tmp_path):
    table = animals(tmp_path, {f"w{i}": 4 for i in range(6)})
    copy, near = table["path"][5], table["path"][10]
    shutil.copy(table["path"][4], copy)
    small = Image.open(table["path"][9]).resize((6, 4))
    for path, size in ((table["path"][9], (192, 128)), (near, (96, 64))):
        small.resize(size, Image.Resampling.BICUBIC).save(path)
    Path(table["path"][20]).write_bytes(b"no image")
    for row, gray in ((15, 99), (17, 101)):
        # Photos of only water are similar but not duplicates.
        Image.new("RGB", (96, 64), (gray, gray, gray)).save(table["path"][row])
    found = find_copies(table)
    pairs = {(r.first, r.second): r.kind for r in found.itertuples()}
    assert pairs == {(4, 5): "identical", (9, 10): "near"}
    table["split"] = ["train", "test"] * 12
    moved = split_table(table, "given", together=found)["split"]
    assert moved[5] == moved[4] == moved[9] == moved[10] == "train"
    assert (moved == "test").sum() == 10
    write_table(table, tmp_path / "t.csv")
    text = run("split", tmp_path / "t.csv", tmp_path / "s.csv", "--test", 0.4)
    assert "1 identical pairs" in text and "w1_0 = w1_1" in text
    assert "1 near pairs" in text and "Encounters are not known" in text
    split = read_table(tmp_path / "s.csv")["split"]
    assert split[4] == split[5] and split[9] == split[10]


def test_unknown_animals_of_an_encounter_that_trains_test_nothing():
    names = {"A": 4, "B": 4, "C": 4, "unknown": 7}
    bursts = [*("ab" * 2), *("cd" * 2), *("ef" * 2), *"abcdef", None]
    split = split_table(
        listed(names, encounter=bursts), "open", encounters="encounter", new=0.3
    )
    parts = [set(part) for _, part in split.groupby("encounter")["split"]]
    assert sorted(map(sorted, parts)) == [
        *[["", "train"]] * 3,
        *[["test_known", "test_new"]],
        *[["test_new"]] * 2,
    ]
    assert split["split"].to_list()[-1] == "test_new"


def test_time():
    dates = ["2018", "2019-05-01", "2019-05-01T09:00", "2020-01-01", "2021-03-03", None]
    table = listed({"A": 3, "B": 2, "unknown": 1}, date=dates)
    split = split_table(table, "time", test=0.4)
    assert split["split"].to_list() == ["train"] * 3 + ["test_new"] * 2 + [""]
    split = split_table(table, "time", cutoff="2019-01-01")["split"].to_list()
    assert split == ["train", "test_known", "test_known", "test_new", "test_new", ""]
    with pytest.raises(ValueError, match=r"Received: rows=\{0: 'soon', "):
        split_table(table.assign(date="soon"), "time")
    with pytest.raises(ValueError, match="one day"):
        split_table(table.assign(date="2019"), "time")
    with pytest.raises(ValueError, match="cutoff='soon'"):
        split_table(table, "time", cutoff="soon")


def test_given():
    words = ["Train", "validation", "val_new", "test_known", None, ""]
    table = listed({"A": 6}).assign(fold=words)
    split = split_table(table, "given", given="fold")["split"].to_list()
    assert split == ["train", "test", "test_new", "test_known", "", ""]
    unknown = table.assign(identity=["unknown", *"AAAAA"])
    with pytest.raises(ValueError, match="training or test set would be empty"):
        split_table(unknown, "given", given="fold")
    with pytest.raises(ValueError, match=r"words=\['perhaps'\]"):
        split_table(table.assign(fold="perhaps"), "given", given="fold")


def test_a_validation_split_inside_the_training_part():
    split = split_table(listed(MANY), "open")
    both = split_table(split, "open", column="val_split", within=("split", "train"))
    assert set(both["val_split"][both["split"] != "train"]) == {""}
    inside = both[both["split"] == "train"]
    assert set(inside["val_split"]) == {"train", "test_known", "test_new"}
    assert both["split"].equals(split["split"])


@pytest.mark.parametrize(
    "options",
    [
        {"protocol": "random"},
        {"test": 0.0},
        {"test": 1.0},
        {"protocol": "open", "test": 0.7, "new": 0.3},
        {"encounters": "burst"},
        {"within": ("burst", "1")},
        {"protocol": "folds", "fold": 5},
        {"protocol": "given", "given": "burst"},
        {"protocol": "time"},
    ],
)
def test_wrong_arguments(options):
    with pytest.raises(ValueError, match="Received: "):
        split_table(listed({"A": 5, "B": 5}), **options)


def test_tables_that_cannot_be_split():
    for counts in ({"A": 1, "B": 1}, {"unknown": 5}):
        with pytest.raises(ValueError, match="Received: "):
            split_table(listed(counts), "closed")
    together = listed({"A": 2, "B": 2}, encounter=["1", "2", "1", "2"])
    with pytest.raises(ValueError, match="linked by encounters"):
        split_table(together, "disjoint", encounters="encounter")


def test_command(tmp_path):
    out = tmp_path / "split.csv"
    text = run("split", FINS / "metadata.csv", out, "--test", 0.3)
    assert "train" in text and "neither          2 photos      1 animals" in text
    table = read_table(out)
    assert (table["split"] == "test").sum() == 2
    first = out.read_bytes()
    assert "--force" in run("split", FINS / "metadata.csv", out, status=1)
    assert out.read_bytes() == first
    options = ("--column", "val", "--within", "split=train", "--protocol", "disjoint")
    run("split", out, tmp_path / "val.csv", *options)
    assert set(pd.read_csv(tmp_path / "val.csv")["val"].dropna()) == {"train", "test"}
    run("split", out, tmp_path / "x.csv", "--within", "split", status=2)
