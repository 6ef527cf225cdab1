"""Regression tests: input that once destroyed or mixed up data, or was accepted."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from keras_involution.data.images import ImageError, read_image
from keras_involution.whale_id import (
    Embeddings,
    TrainConfig,
    check_table,
    read_coco,
    read_table,
    split_table,
    train,
)
from keras_involution.whale_id.assemble import training_rows
from keras_involution.whale_id.runs import run_files
from tests.marks import one_backend
from tests.whale_id.animals import animals
from tests.whale_id.calibrations import calibration_by_hand
from tests.whale_id.command import run
from tests.whale_id.settings import small

pytestmark = one_backend


def files_of(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_a_run_is_only_replaced_by_one_that_trains(tmp_path):
    table, folder = animals(tmp_path), tmp_path / "run"
    train(table, small(epochs=1), folder)
    before = files_of(folder)
    for settings in ({"backbone": "nosuch"}, {"optimizer": "nosuch"}):
        with pytest.raises(ValueError, match="nosuch"):
            train(table, small(epochs=1, **settings), folder, force=True)
        assert files_of(folder) == before
    gone = table.assign(path=table["path"] + ".gone")
    with pytest.raises(ImageError):
        train(gone, small(epochs=1), folder, force=True)
    assert files_of(folder) == before
    assert not (folder / ".replaced").exists()
    train(table, small(epochs=1, seed=1), folder, force=True)
    assert files_of(folder)["model.keras"] != before["model.keras"]
    assert not (folder / ".replaced").exists()


@pytest.mark.parametrize("moved", (1, 3, 9))
def test_what_a_killed_replacement_put_aside_is_put_back(tmp_path, moved):
    table, folder = animals(tmp_path), tmp_path / "run"
    train(table, small(epochs=1), folder)
    before = files_of(folder)
    (folder / ".replaced").mkdir()
    names = ["checkpoint.npz", "config.yaml", "model.keras", "classes.json", "head.npz"]
    for name in [*names, "steps.csv", "epochs.csv", "tensorboard"][:moved]:
        (folder / name).rename(folder / ".replaced" / name)
    if moved > 3:  # It has started to write.
        (folder / "steps.csv").write_text("step,loss\n1,2.0\n")
        (folder / "tensorboard").mkdir()
    with pytest.raises(ValueError, match="nosuch"):
        train(table, small(backbone="nosuch"), folder, force=True)
    assert files_of(folder) == before
    assert list((folder / "tensorboard").iterdir())


def test_a_run_is_found_until_its_replacement_gets_going(tmp_path):
    table, folder = animals(tmp_path), tmp_path / "run"
    train(table, small(epochs=1, box_margin=0.25), folder)
    whole = (folder / "model.keras").read_bytes()
    aside = folder / ".replaced"
    aside.mkdir()
    for name in files_of(folder):
        (folder / name).rename(aside / name)
    found = run_files(folder)
    assert found.model.read_bytes() == whole and found.box_margin == 0.25
    assert found.head == aside / "head.npz"
    (folder / "checkpoint.npz").touch()
    with pytest.raises(ValueError, match="the run may not be finished"):
        run_files(folder)


def test_a_replacement_that_was_killed_later_is_final(tmp_path):
    table, folder = animals(tmp_path), tmp_path / "run"
    train(table, small(epochs=1), folder)
    (folder / ".replaced").mkdir()
    (folder / ".replaced" / "model.keras").write_bytes(b"old")
    before = files_of(folder)
    with pytest.raises(ValueError, match="nosuch"):
        train(table, small(backbone="nosuch"), folder, force=True)
    assert files_of(folder) == before


def test_a_run_goes_on_with_its_own_photos_only(tmp_path):
    table, folder = animals(tmp_path), tmp_path / "run"
    train(table, small(minutes=1e-6), folder)
    before = files_of(folder)
    turned = table.assign(identity=table["identity"].to_list()[::-1])
    renamed = table.assign(identity="Z" + table["identity"])
    for other in (turned, renamed, table.iloc[:-2], pd.concat([table, table])):
        with pytest.raises(ValueError, match="same photos and animals"):
            train(other, small(), folder, resume=True)
        assert files_of(folder) == before


def test_early_stop_needs_something_to_look_at(tmp_path):
    table = animals(tmp_path)
    unknown = table.assign(
        identity=table["identity"].where(table["split"] != "val", "unknown")
    )
    for each in (table.drop(columns="split"), unknown):
        with pytest.raises(ValueError, match=r"`early_stop` needs.*none"):
            train(each, small(early_stop=1), tmp_path / "run")
    assert not (tmp_path / "run" / "model.keras").exists()


def test_what_is_held_out_is_not_trained_on(tmp_path):
    table = animals(tmp_path).drop(columns="split").assign(split="train")
    inside = ["train", "train", "train", "val_known"] * 4
    table = table.assign(val_split=inside)
    assert len(training_rows(table, "val_split")) == 12
    assert len(training_rows(table)) == len(training_rows(table, "nosuch")) == 16
    seen: list = []
    train(
        table, small(epochs=1, early_stop=1, held_out="val_split"), tmp_path / "run",
        on_step=seen.append,
    )  # fmt: skip
    assert seen[-1].step == 3 and "map_at_5" in seen[-1].history[0]


def turned_picture(path) -> None:
    """Saves an image of 100 x 40 pixels that is displayed as 40 x 100."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (100, 40)).save(path, exif=exif)


def one_row(tmp_path, **columns) -> pd.DataFrame:
    row = {"image_id": ["1"], "identity": ["A"], "path": ["a.jpg"], **columns}
    pd.DataFrame(row).to_csv(tmp_path / "t.csv", index=False)
    return read_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "box, kinds",
    [
        ("[5, 50, 30, 45]", []),
        ("(5, 50, 30, 45)", []),
        ("[60, 5, 30, 30]", ["box"]),
        ("[5, 5, 0.5, 0.5]", ["box"]),
        ("1234", ["box"]),
        ("[NaN, 5, 3, 4]", ["box"]),
        ('{"x": 1}', ["box"]),
    ],
)
def test_boxes_are_checked_as_they_are_used(tmp_path, box, kinds):
    turned_picture(tmp_path / "a.jpg")
    table = one_row(tmp_path, bbox=[box])
    assert [problem.kind for problem in check_table(table)] == kinds
    path, bbox = table["path"][0], table["bbox"][0]
    if not kinds:
        assert read_image(path, bbox=bbox).shape == (45, 30, 3)
        return
    with pytest.raises(ImageError, match=r"a\.jpg: the box"):
        read_image(path, bbox=bbox)


def test_rows_longer_than_the_header_are_no_table(tmp_path):
    for text in ("1,b,x.jpg,extra,more\n", "1,b,x.jpg,\n"):
        (tmp_path / "t.csv").write_text("image_id,identity,path\n" + text)
        with pytest.raises(ValueError, match=r"cannot be read.*Received: source="):
            read_table(tmp_path / "t.csv")


def embeddings(rows: int = 3, **columns) -> Embeddings:
    names = [str(n) for n in range(rows)]
    table = {"image_id": names, "identity": names, "path": names, **columns}
    return Embeddings(np.eye(rows, 4, dtype="float32"), pd.DataFrame(table))


def test_columns_are_no_embeddings(tmp_path):
    noted = embeddings(feature_note=["a", "b", "c"])
    noted.save(tmp_path / "e.csv")
    again = Embeddings.load(tmp_path / "e.csv")
    assert again.features.shape == (3, 4) and "feature_note" in again.table
    for name, column in (("e.csv", "feature_7"), ("e.parquet", "features")):
        with pytest.raises(ValueError, match=f"rename them.*{column}"):
            embeddings(**{column: ["1", "2", "3"]}).save(tmp_path / name, force=True)


def test_any_name_of_an_animal_comes_back(tmp_path):
    names = ["a\rb", 'Ann, "the" whale', "=1+1"]
    saved = embeddings()
    saved.table["identity"] = names
    saved.save(tmp_path / "e.npz")
    assert Embeddings.load(tmp_path / "e.npz").table["identity"].to_list() == names


def test_models_of_other_photos_are_refused(tmp_path):
    for name, rows in (("a.npz", 3), ("b.npz", 2)):
        made = embeddings(rows)
        made.table["split"] = ["train", *["test"] * (rows - 1)]
        made.save(tmp_path / name)
    a, b = str(tmp_path / "a.npz"), str(tmp_path / "b.npz")
    saved, out = str(tmp_path / "c.json"), str(tmp_path / "o.csv")
    calibration_by_hand().save(saved)
    for arguments in (
        ["evaluate", a, b],
        ["submit", "--also", b, b, a, a, out, "--calibration", saved],
    ):
        assert "same photos in the same order" in run(*arguments, status=1)


@pytest.mark.parametrize(
    "content",
    (
        {"images": [{"file_name": "x"}], "annotations": []},
        {"images": {"a": 1}, "annotations": [1]},
        {"images": None, "annotations": None},
        {"images": [], "annotations": [{"image_id": [1]}]},
        {"images": [], "annotations": [], "categories": [1]},
    ),
    ids=str,
)
def test_damaged_coco_files(tmp_path, content):
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="The COCO file cannot be read: "):
        read_coco(tmp_path / "c.json")


@pytest.mark.parametrize(
    "settings",
    (
        {"epochs": float("inf")},
        {"learning_rate": -1.0},
        {"box_margin": float("inf")},
        {"early_stop": -1},
        {"minutes": 0.0},
    ),
    ids=str,
)
def test_settings_that_make_no_sense(settings):
    [name] = settings
    with pytest.raises(ValueError, match=f"`{name}` must.*Received: {name}="):
        TrainConfig(**settings)


def test_a_split_needs_a_column_of_its_own(tmp_path):
    table = animals(tmp_path)
    for column in ("identity", "path", ""):
        with pytest.raises(ValueError, match="separate column"):
            split_table(table, "closed", column=column)


def test_validation_without_known_animals_has_no_figures(tmp_path):
    table, folder = animals(tmp_path), tmp_path / "run"
    table["identity"] = table["identity"].where(table["split"] != "val", "unknown")
    train(table, small(epochs=1), folder)
    text = (folder / "epochs.csv").read_text()
    assert "nan" not in text and text.startswith("step,epoch,seconds,loss\n")


def test_figures_that_come_later_get_a_column(tmp_path):
    train(animals(tmp_path), small(epochs=4, validate_every=2), tmp_path / "run")
    rows = pd.read_csv(tmp_path / "run" / "epochs.csv")
    assert rows["epoch"].to_list() == [1, 2, 3, 4]
    assert rows["map_at_5"].notna().to_list() == [False, True, False, True]
    assert (rows["map_at_5"].dropna() <= 1).all() and (rows["seconds"] > 0).all()
