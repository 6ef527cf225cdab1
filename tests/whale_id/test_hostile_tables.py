"""Tables with typical and malicious defects."""

from __future__ import annotations

import json

import numpy as np
import pytest

from keras_involution.data.images import ImageError
from keras_involution.whale_id import (
    Embeddings,
    check_table,
    fix_table,
    join_tables,
    read_table,
    split_table,
    write_eda,
    write_table,
)
from keras_involution.whale_id.assemble import training_rows
from keras_involution.whale_id.pipeline import Photos
from keras_involution.whale_id.train.subject import validation_rows
from tests.marks import one_backend
from tests.whale_id.animals import animals as drawn
from tests.whale_id.calibrations import calibration_by_hand
from tests.whale_id.command import run
from tests.whale_id.image_files import listed, save_image
from tests.whale_id.settings import one_stage

pytestmark = one_backend


def test_folders_with_any_name(tmp_path):
    folders = ["Ann ", " Bob", "鯨 一号", "O'Br,ien", "#1"]
    for folder in folders:
        for name in (" 0.png", "1 é.png"):
            save_image(tmp_path / "f" / folder / name)
    table = read_table(tmp_path / "f")
    assert set(table["identity"]) == {name.strip() for name in folders}
    kinds = {p.kind for p in check_table(table)}
    assert kinds == {"two animals"}  # All are the same image.
    write_table(split_table(table), tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv")["path"].to_list() == table["path"].to_list()


def test_blanks_beside_a_path_are_no_part_of_it(tmp_path):
    save_image(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("image_id,identity,path\n1, A , a.png \n")
    assert check_table(read_table(tmp_path / "t.csv")) == []


@pytest.mark.parametrize("box", ([1, 2, None, 3], ["a", 2, 3, 4], [1, 2, 3], 7))
def test_boxes_of_coco_that_are_none(tmp_path, box):
    save_image(tmp_path / "a.png")
    content = {"images": [{"id": 1, "file_name": "a.png"}]}
    content["annotations"] = [{"id": 5, "image_id": 1, "name": "A", "bbox": box}]
    (tmp_path / "c.json").write_text(json.dumps(content))
    table = read_table(tmp_path / "c.json")
    assert [p.kind for p in check_table(table)] == ["box"]
    assert fix_table(table).empty
    with pytest.raises(ImageError, match=r"a\.png: the box is not"):
        Photos(table, (16, 16)).read(0)
    photos = Photos(table, (16, 16), on_error="skip")
    with pytest.raises(ImageError, match="No image of the table"):
        photos.read(0)


def test_boxes_of_miewid_that_are_half_there(tmp_path):
    save_image(tmp_path / "a.png")
    lines = ["name,file_path,x,y,w,h", "A,a.png,1,2,,4", "A,a.png,,,,"]
    lines += ["A,a.png,a,b,c,d", "A,a.png,1,2,8,8"]
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    found = check_table(read_table(tmp_path / "m.csv"))
    assert [(p.row, p.kind) for p in found] == [(0, "box"), (2, "box")]


@pytest.mark.parametrize("data", (b"PK\x03\x04\xff\xfe", "1,Ren\xe9".encode("latin-1")))
def test_what_is_no_text_says_how_to_save_it(tmp_path, data):
    (tmp_path / "t.xlsx").write_bytes(data)
    assert "save as CSV in UTF-8" in run("check", tmp_path / "t.xlsx", status=1)


def test_numbers_that_are_none(tmp_path):
    file, out = tmp_path / "e.npz", tmp_path / "o.csv"
    Embeddings(np.eye(4), listed({"A": 2, "B": 2})).save(file)
    saved = tmp_path / "c.json"
    calibration_by_hand().save(saved)
    options = ("--calibration", saved, "--pseudo-labels", 2.0, tmp_path / "sure.csv")
    assert "no table is written" in run("submit", file, file, out, *options, status=1)
    assert not (tmp_path / "sure.csv").exists()


SPELLINGS = {
    "split": ["Train", "training ", "DATABASE", "Validation"],
    "val_split": ["TRAIN", "", None, "Val_known"],
}


@pytest.mark.parametrize("column", SPELLINGS)
def test_train_reads_the_words_of_a_split_as_evaluate_does(column):
    table = listed({"A": 4, "B": 4}).assign(**{column: SPELLINGS[column] * 2})
    rows = training_rows(table, "val_split")
    assert rows["image_id"].to_list() == ["A_0", "A_1", "A_2", "B_0", "B_1", "B_2"]
    held = validation_rows(table, "val_split")
    assert held["image_id"].to_list() == ["A_3", "B_3"]
    strange = table.assign(**{column: ["train", "later"] * 4})
    with pytest.raises(ValueError, match=r"neither train nor test.*words=\['later'\]"):
        training_rows(strange, "val_split")


def test_paths_of_windows(tmp_path):
    save_image(tmp_path / "Fin photos" / "a.png")
    save_image(tmp_path / "odd\\name.png")
    lines = ["image_id,identity,path", r"1,A,Fin photos\a.png", r"2,B,odd\name.png"]
    (tmp_path / "t.csv").write_text("\n".join([*lines, r"3,B,gone\c.png"]) + "\n")
    table = read_table(tmp_path / "t.csv")
    assert table["path"].to_list() == [
        str(tmp_path / "Fin photos" / "a.png"),
        str(tmp_path / "odd\\name.png"),
        str(tmp_path / "gone\\c.png"),
    ]


def test_names_of_columns(tmp_path):
    text = "image_id, identity ,path,note,note,,\n1,A,a.png,x,y,,\n2,NA,b.png,x,y,,z\n"
    (tmp_path / "t.csv").write_text(text)
    table = read_table(tmp_path / "t.csv")
    assert table["identity"].to_list() == ["A", "NA"]
    assert list(table)[3:] == ["note", "note.1", "unnamed", "unnamed.1"]
    for twice in ("identity", "split"):
        (tmp_path / "t.csv").write_text(
            f"image_id,identity,path,split,{twice}\n1,A,a.png,train,B\n"
        )
        with pytest.raises(ValueError, match=rf"twice\. Received: columns=\['{twice}"):
            read_table(tmp_path / "t.csv")


def test_eda_names_every_file_that_it_cannot_measure(tmp_path):
    counts = dict.fromkeys("ABCDEFGHIJKL", 13)
    table = listed(counts).assign(path=str(save_image(tmp_path / "a.png")))
    # An image that is neither on the contact sheets nor among the samples.
    table.loc[155, "path"] = str(tmp_path / "gone.png")
    found = write_eda(table, tmp_path / "eda.html")
    assert len(found) == 1 and "gone.png cannot be shown" in found[0]
    with pytest.raises(ValueError, match=r"gone\.png"):
        write_eda(table, tmp_path / "other.html", on_error="stop")
    assert not (tmp_path / "other.html").exists()


def test_a_second_round_trains_on_the_sure_answers_too(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    known = drawn_animals(tmp_path / "a", ["train"] * 3 + ["val"])
    asked = drawn_animals(tmp_path / "b", None).assign(identity="unknown")
    write_table(known, tmp_path / "a" / "known.csv")
    write_table(asked, tmp_path / "b" / "asked.csv")
    sure = asked.assign(identity=known["identity"], split="train", pseudo_label=True)
    write_table(sure.iloc[:6], tmp_path / "b" / "sure.csv")
    tables = [read_table(tmp_path / n) for n in ("a/known.csv", "b/sure.csv")]
    assert training_rows(join_tables(tables))["image_id"].nunique() == 18
    assert len(validation_rows(join_tables(tables), "")) == 4
    config = tmp_path / "c.yaml"
    one_stage(epochs=1).save(config)
    arguments = (tmp_path / "a" / "known.csv", first, "--config", config)
    run("train", *arguments)
    run(
        "train", arguments[0], second, *arguments[2:], "--also", tmp_path / "b/sure.csv"
    )
    steps = [len((f / "steps.csv").read_text().splitlines()) for f in (first, second)]
    assert steps == [1 + 12 // 4, 1 + 18 // 4]


def drawn_animals(folder, parts):
    folder.mkdir()
    table = drawn(folder).drop(columns=["bbox", "split"])
    table["image_id"] = folder.name + table["image_id"]
    return table if parts is None else table.assign(split=parts * 4)


def test_tables_of_different_columns_join():
    boxed = listed({"A": 2}, bbox=[[0, 0, 5, 5], None], species=["beluga"] * 2)
    split = listed({"B": 1}, split=["test"], note=["x"])
    joined = join_tables([boxed, split])
    assert joined.index.to_list() == [0, 1, 2]
    assert joined["split"].to_list() == ["train", "train", "test"]
    assert joined["bbox"].to_list() == [[0, 0, 5, 5], None, None]
    assert joined["species"].to_list() == ["beluga", "beluga", None]
    assert "split" not in join_tables([boxed, boxed])
