"""Invalid rows are listed, and a repaired table has none."""

from __future__ import annotations

import shutil
import time
import warnings

import pandas as pd
import pytest
from PIL import Image

from keras_involution.data._warnings import large_images_allowed
from keras_involution.whale_id import check_table, fix_table, read_table
from keras_involution.whale_id.tables.check import WARNINGS
from tests.marks import one_backend
from tests.whale_id.image_files import FINS, animals

pytestmark = one_backend


@pytest.fixture
def table(tmp_path):
    return animals(tmp_path, {"A": 3, "B": 3, "C": 2})


def kinds(table) -> dict[int, str]:
    return {problem.row: problem.kind for problem in check_table(table)}


def path_of(table, row):
    return table.at[row, "path"]


def test_nothing_wrong(table):
    assert check_table(table) == []
    assert check_table(read_table(FINS / "metadata.csv")) == []
    pd.testing.assert_frame_equal(fix_table(table), table)


def test_pictures_are_really_decoded(table):
    with open(path_of(table, 1), "rb+") as file:
        file.truncate(600)
    with open(path_of(table, 4), "w") as file:
        file.write("no image")
    broken = table.assign(path=table["path"].replace(path_of(table, 0), "/none.png"))
    found = check_table(broken)
    assert [(p.row, p.kind) for p in found] == [
        (0, "missing"),
        (1, "undecodable"),
        (4, "undecodable"),
    ]
    assert "truncated" in found[1].what and path_of(table, 1) in found[1].what
    assert fix_table(broken).index.to_list() == [2, 3, 5, 6, 7]


def test_decompression_bombs(table, monkeypatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 300)
    assert kinds(table) == {}  # 384 pixels: above the limit, a warning only
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 100)
    assert set(kinds(table).values()) == {"undecodable"}


def test_boxes(table):
    boxes = [[0, 0, 24, 16], [20, 10, 8, 8], [30, 0, 4, 4], "oops", None]
    boxes += [[0, 0, 0, 5], [-2, -2, 9, 9], [1, 2, 3]]
    table = table.assign(bbox=pd.Series(boxes, dtype=object))
    assert kinds(table) == dict.fromkeys([1, 2, 3, 5, 6, 7], "box")
    fixed = fix_table(table)
    assert fixed["bbox"].to_dict() == {
        0: [0, 0, 24, 16],
        1: [20, 10, 4, 6],
        4: None,
        6: [0, 0, 7, 7],
    }
    assert check_table(fixed) == []


def test_one_picture_under_two_animals(table):
    shutil.copy(path_of(table, 0), path_of(table, 3))  # A and B
    shutil.copy(path_of(table, 1), path_of(table, 2))  # A twice
    assert kinds(table) == {0: "two animals", 3: "two animals"}
    assert fix_table(table).index.to_list() == [1, 2, 4, 5, 6, 7]
    unknown = table.assign(identity=["unknown", *table["identity"][1:]])
    assert kinds(unknown) == {}
    boxes = [[0, 0, 5, 5], None, None, [9, 9, 5, 5], None, None, None, None]
    assert kinds(table.assign(bbox=pd.Series(boxes, dtype=object))) == {}


def test_repeated_ids_and_dates(table):
    table = table.assign(image_id=["x", "x", *table["image_id"][2:]])
    table["date"] = [
        "2019-01-01",
        "2020",
        None,
        "May 4, 2021",
        "soon",
        None,
        None,
        None,
    ]
    assert kinds(table) == {1: "repeated id", 4: "date"}
    fixed = fix_table(table)
    assert check_table(fixed) == [] and pd.isna(fixed.at[4, "date"])


def test_repairs_keep_what_only_repeated_a_row_that_goes(table):
    table["image_id"] = ["x", "x", "x", *table["image_id"][3:]]
    table.loc[0, "path"] = "/none.png"
    fixed = fix_table(table)
    assert fixed.index.to_list() == [1, 3, 4, 5, 6, 7]
    assert check_table(fixed) == []


def test_two_spellings_of_an_animal_are_told(table):
    table["identity"] = ["Luna 1", "Luna 1", "luna_1", "Zo\u00eb", "Zoe\u0308", *"aaa"]
    found = check_table(table)
    assert [(p.row, p.kind, p.kind in WARNINGS) for p in found] == [
        (2, "spelling", True),
        (3, "spelling", True),
    ]
    assert "'luna_1' is written 'Luna 1' elsewhere" in found[0].what
    pd.testing.assert_frame_equal(fix_table(table), table)


def test_boxes_that_may_be_corners_are_told_so(table):
    table["bbox"] = pd.Series([[10, 5, 20, 14], [10, 5, 24, 2]] + [None] * 6)
    found = check_table(table)
    assert ["two corners" in problem.what for problem in found] == [True, False]


def test_species(table):
    seals = table.assign(species="harbor_seal")
    assert kinds(seals) == {}
    whales = ["beluga"] * 6 + ["humpback_wale", "sperm_whale"]
    table = table.assign(species=whales)
    assert kinds(table) == {6: "species", 7: "species"}
    fixed = fix_table(table)
    assert fixed["species"].to_list()[6:] == ["humpback_whale", "sperm_whale"]


def test_threads_that_overlap_share_one_filter_of_warnings():
    """The first thread leaves before the second, so it must not restore the filter."""
    before = list(warnings.filters)
    first, second = large_images_allowed(), large_images_allowed()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    warnings.warn("large", Image.DecompressionBombWarning, stacklevel=1)
    second.__exit__(None, None, None)
    assert warnings.filters == before
    with pytest.raises(Image.DecompressionBombWarning):
        warnings.warn("large", Image.DecompressionBombWarning, stacklevel=1)


STRANGE = {
    "a zero-width space": ("Lu\u200bna", "zero width space", True),
    "a byte order mark": ("\ufeffLuna", "zero width no-break space", True),
    "a mark of direction": ("Luna\u202e", "right-to-left override", True),
    "a space that does not break": ("Luna\u00a01", "no-break space", False),
    "Cyrillic a": ("Lun\u0430", "Cyrillic and Latin", True),
    "Greek A": ("\u0391da", "Greek and Latin", False),
    "Cyrillic alone": ("\u041b\u0443\u043d\u0430", None, False),
    "accents": ("Zo\u00eb", None, False),
}


@pytest.mark.parametrize("name", STRANGE)
def test_letters_that_deceive_are_told(table, name):
    written, told, is_luna = STRANGE[name]
    strange = table.assign(identity=["Luna"] * 7 + [written])
    found = {p.kind: p.what for p in check_table(strange)}
    assert told is None if "letters" not in found else told in found["letters"]
    assert ("spelling" in found) == is_luna
    assert found.keys() <= set(WARNINGS)


def test_the_time_of_reading_grows_with_the_columns(tmp_path):
    """Reading the names of 20,000 columns must take linear time.

    Eight times as many columns take 8 times as long if the time is linear, and 64 times
    if it is quadratic. The bound is the geometric mean of the two. Load on the machine
    can only increase a measurement, so the minimum of two is used.
    """
    seconds = {}
    for count in (1000, 8000):
        names = [f"c{n % 500}" for n in range(count)]
        rows = [
            ["image_id", "identity", "path", *names],
            ["1", "A", "1.jpg", *"x" * count],
        ]
        text = "".join(",".join(row) + "\n" for row in rows)
        (tmp_path / "t.csv").write_text(text)
        measured = []
        for _ in range(2):
            begun = time.thread_time()
            table = read_table(tmp_path / "t.csv")
            measured.append(time.thread_time() - begun)
        seconds[count] = min(measured)
        assert table.shape == (1, count + 3) and table["c7.1"][0] == "x"
    assert seconds[8000] < (8 * 64) ** 0.5 * seconds[1000]
