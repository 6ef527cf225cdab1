"""Every format is read into the same columns."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from keras_involution.whale_id import (
    clean_species,
    from_wildlife,
    read_coco,
    read_folder,
    read_kaggle,
    read_table,
    write_table,
)
from keras_involution.whale_id.tables import SPECIES
from tests.marks import one_backend
from tests.whale_id.image_files import FINS, save_image

pytestmark = one_backend


def written(path, text):
    path.write_text(text, "utf-8")
    return path


def test_wildlife_csv_keeps_what_is_written(tmp_path):
    source = written(
        tmp_path / "t.csv",
        "image_id,identity,path,bbox,orientation,date,photo_number\n"
        '007,NA,a/1.jpg,"[1, 2, 3, 4]",left,2019-05-01,12\n'
        "008,new_individual,/b/2.jpg,,,,\n"
        "009,,3.jpg,oops,right,2020,13\n",
    )
    table = read_table(source)
    columns = "image_id identity path bbox date viewpoint photo_number"
    assert " ".join(table) == columns
    assert table["image_id"].to_list() == ["007", "008", "009"]
    assert table["identity"].to_list() == ["NA", "unknown", "unknown"]
    assert table["path"].to_list() == [
        str(tmp_path / "a/1.jpg"),
        "/b/2.jpg",
        str(tmp_path / "3.jpg"),
    ]
    assert table["bbox"].to_list() == [[1, 2, 3, 4], None, "oops"]
    assert table["viewpoint"][0] == "left" and pd.isna(table["viewpoint"][1])
    assert "bbox" not in read_table(source, boxes=False)
    assert read_table(source, images="/x")["path"][0] == "/x/a/1.jpg"


def test_wildlife_data_frame(tmp_path):
    df = pd.DataFrame(
        {
            "image_id": [3, 4],
            "identity": [1.0, float("nan")],
            "path": ["3.jpg", "4.jpg"],
            "bbox": [(0, 0, 5, 6), float("nan")],
            "original_split": ["train", "test"],
            "position": ["top", None],
        },
        index=[7, 9],
    )
    table = from_wildlife(df, tmp_path)
    assert table.index.to_list() == [0, 1]
    assert table["identity"].to_list() == ["1", "unknown"]
    assert table["bbox"].to_list() == [[0, 0, 5, 6], None]
    assert table["split"].to_list() == ["train", "test"]
    assert table["viewpoint"][0] == "top"


def test_a_real_table():
    table = read_table(FINS / "metadata.csv")
    assert len(table) == 10 and (table["identity"] == "unknown").sum() == 2
    assert table["viewpoint"].isin(["left", "right"]).all()
    assert table["path"].map(lambda p: p.startswith(str(FINS))).all()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_happywhale(tmp_path, separator):
    rows = ["image,species,individual_id", "1.jpg,kiler_whale,a", "2.jpg,globis,b"]
    text = "\ufeff" + "\n".join(rows).replace(",", separator)
    table = read_table(written(tmp_path / "train.csv", text), tmp_path / "images")
    assert table["image_id"].to_list() == ["1.jpg", "2.jpg"]
    assert table["identity"].to_list() == ["a", "b"]
    assert table["species"].to_list() == ["killer_whale", "short_finned_pilot_whale"]
    assert table["path"][1] == str(tmp_path / "images" / "2.jpg")


def test_humpback_and_test_sets(tmp_path):
    df = pd.DataFrame({"Image": ["1.jpg", "2.jpg"], "Id": ["w_1", "new_whale"]})
    assert read_kaggle(df)["identity"].to_list() == ["w_1", "unknown"]
    df = pd.DataFrame({"image": ["1.jpg"], "predictions": ["a b c d e"]})
    table = read_table(df)
    assert table["identity"].to_list() == ["unknown"] and "predictions" not in table
    with pytest.raises(ValueError, match=r"Received: columns=\['drawing'\]"):
        read_kaggle(pd.DataFrame({"drawing": ["1.jpg"]}))


def test_miewid(tmp_path):
    source = written(
        tmp_path / "m.csv",
        "theta,viewpoint,name,file_name,species,file_path,x,y,w,h\n"
        "0.1,left,A,1.jpg,Beluga,d/1.jpg,1,2,3,4\n"
        "0,right,B,1.jpg,beluga,d/1.jpg,9,9,3,4\n"
        "0,right,B,2.jpg,beluga,d/2.jpg,,,,\n",
    )
    table = read_table(source)
    assert table["image_id"].to_list() == ["1.jpg", "1.jpg#1", "2.jpg"]
    assert table["identity"].to_list() == ["A", "B", "B"]
    assert table["bbox"].to_list() == [[1, 2, 3, 4], [9, 9, 3, 4], None]
    assert table["theta"][0] == "0.1" and table["species"][0] == "beluga"


def coco(**changes):
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "categories": [{"id": 5, "name": "Fin Whale"}],
        "annotations": [
            {"id": 10, "image_id": 2, "bbox": [1, 2, 3, 4], "name": "A"}
            | {"category_id": 5, "viewpoint": "left", "theta": 0.5},
            {"id": 11, "image_id": 2, "bbox": [5, 5, 5, 5], "category_id": 5},
        ],
    }
    return json.dumps(content | changes)


def test_coco(tmp_path):
    table = read_table(written(tmp_path / "c.json", coco()), "/images")
    assert table["image_id"].to_list() == ["10", "11"]
    assert table["identity"].to_list() == ["A", "unknown"]
    assert table["path"].to_list() == ["/images/b.jpg"] * 2
    assert table["bbox"].to_list() == [[1, 2, 3, 4], [5, 5, 5, 5]]
    assert table["species"][0] == "fin_whale" and table["theta"][0] == 0.5


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "{",
        "{}",
        coco(annotations=[{"id": 1, "image_id": 9}]),
        coco(annotations=[]),
    ],
)
def test_broken_coco(tmp_path, text):
    with pytest.raises(ValueError, match="Received: "):
        read_coco(written(tmp_path / "c.json", text))


def test_folder(tmp_path):
    for name in ("A/1.png", "A/deep/2.PNG", "B/1.jpg", "loose.png", ".hidden/3.png"):
        save_image(tmp_path / name)
    written(tmp_path / "A" / "notes.txt", "no image")
    table = read_table(tmp_path)
    assert table["image_id"].to_list() == [
        "A/1.png",
        "A/deep/2.PNG",
        "B/1.jpg",
        "loose.png",
    ]
    assert table["identity"].to_list() == ["A", "A", "B", "unknown"]
    one = read_table(tmp_path / "B" / "1.jpg")
    assert one[["image_id", "identity"]].to_numpy().tolist() == [["1.jpg", "unknown"]]
    assert one["path"][0] == str(tmp_path / "B" / "1.jpg")
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "nowhere"):
        with pytest.raises(ValueError, match="Received: source="):
            read_folder(tmp_path / folder)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_written_and_read_again(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    table = read_table(FINS / "metadata.csv").drop(columns=["width", "height"])
    boxes = [[1.0, 2.0, 30.5, 4.0], None] * 5
    table = table.assign(bbox=boxes).astype({"bbox": object})
    path = tmp_path / f"t{suffix}"
    write_table(table, path)
    again = read_table(path)
    pd.testing.assert_frame_equal(again[list(table)], table, check_dtype=False)
    with pytest.raises(ValueError, match=r"`--force`"):
        write_table(table, path)
    write_table(table.head(3), path, force=True)
    assert len(read_table(path)) == 3


def test_paths_beside_the_file_are_relative(tmp_path):
    save_image(tmp_path / "A" / "1.png")
    write_table(read_folder(tmp_path), tmp_path / "t.csv")
    assert "A/1.png,A,A/1.png" in (tmp_path / "t.csv").read_text()
    moved = tmp_path.rename(tmp_path.parent / "moved")
    assert read_table(moved / "t.csv")["path"][0] == str(moved / "A" / "1.png")


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n1,2\n", "image_id,identity,path\n", "image_id,identity,path\n,A,p\n"],
)
def test_unusable_tables_are_refused(tmp_path, text):
    with pytest.raises(ValueError, match="Received: "):
        read_table(written(tmp_path / "t.csv", text))
    with pytest.raises(ValueError, match="Received: source="):
        read_table(tmp_path / "nowhere.csv")
    (tmp_path / "t.csv").write_bytes(b"image_id,identity,path\n\xff\xfe,A,p\n")
    with pytest.raises(ValueError, match="cannot be read"):
        read_table(tmp_path / "t.csv")


def test_species():
    assert len(SPECIES) == len(set(SPECIES)) == 26
    assert all(clean_species(name) == name for name in SPECIES)
    for written, meant in {
        "globis": "short_finned_pilot_whale",
        "pilot_whale": "short_finned_pilot_whale",
        "bottlenose_dolpin": "bottlenose_dolphin",
        "Cuvier\u2019s beaked  whale": "cuviers_beaked_whale",
        "Harbor-Seal": "harbor_seal",
    }.items():
        assert clean_species(written) == meant
