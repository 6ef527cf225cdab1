"""The page of a table."""

from __future__ import annotations

import sys
import types

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from keras_involution.whale_id import read_table, write_eda, write_table
from keras_involution.whale_id.eda.counts import count_tables
from keras_involution.whale_id.eda.tracking import track_eda
from keras_involution.whale_id.pages import load_thumbnail
from tests.marks import one_backend
from tests.whale_id.command import run
from tests.whale_id.image_files import FINS, animals, listed
from tests.whale_id.pages import HOSTILE, read_page

pytestmark = one_backend

plots = pytest.importorskip("matplotlib", reason="the plots need matplotlib")


def test_counts():
    table = listed(
        {"A": 3, "B": 1, "C": 1, "unknown": 2},
        species=["killer_whale"] * 3 + ["common_dolphin", "beluga", None, "beluga"],
        date=["2019", "2018-05-01", "soon", None, None, None, "2019-02-02"],
        split=["train"] * 5 + [None, ""],
    )
    counts = count_tables(table)
    assert counts["animals"].to_numpy().tolist() == [["A", 3], ["B", 1], ["C", 1]]
    assert counts["photos per animal"].to_numpy().tolist() == [[1, 2], [3, 1]]
    assert counts["species"].to_numpy().tolist() == [
        ["killer_whale", 3, 1],
        ["beluga", 2, 1],
        ["common_dolphin", 1, 1],
    ]
    groups = counts["whale or dolphin"].set_index("name")["photos"].to_dict()
    assert groups == {"whale by name": 5, "other (dolphins)": 1}
    assert counts["years"].to_numpy().tolist() == [["2018", 1], ["2019", 2]]
    seals = table.assign(species="harbor_seal")
    assert "whale or dolphin" not in count_tables(seals)


def test_page(tmp_path):
    table = read_table(FINS / "metadata.csv")
    assert write_eda(table, tmp_path / "eda.html", title=HOSTILE) == []
    page = read_page(tmp_path / "eda.html")
    assert HOSTILE in page.text
    assert not page.named("script")
    for heading in (
        "Whale or dolphin",
        "Photos per species",
        "Animals per species",
    ):
        assert heading in page.text
    for heading in ("ten most photographed", "Photos per animal", "Sizes"):
        assert heading in page.text
    assert "By name, not by taxonomy" in page.text
    assert "brand_172 4 photos" in page.text
    images = [i for i in page.named("img") if i["src"].startswith("data:image/jpeg")]
    assert len(images) == 10 + 8  # the sample; the contact sheets without unknown
    assert all(int(i["width"]) <= 220 for i in images)
    with pytest.raises(ValueError, match="--force"):
        write_eda(table, tmp_path / "eda.html")


def test_hostile_names_and_broken_images(tmp_path):
    table = animals(tmp_path, {"A": 3, "B": 1})
    (tmp_path / "A_1.png").write_text("no image")
    table = table.assign(identity=[HOSTILE] * 3 + ["B"], species=HOSTILE, split=HOSTILE)
    table["image_id"] = [f"{HOSTILE}{i}" for i in range(4)]
    told = []
    left_out = write_eda(table, tmp_path / "eda.html", warn=told.append)
    assert len(left_out) == len(told) == 1 and "A_1.png" in left_out[0]
    page = read_page(tmp_path / "eda.html")
    assert not page.named("script") and "A_1.png" in page.text
    before = (tmp_path / "eda.html").read_bytes()
    with pytest.raises(ValueError, match=r"A_1\.png.*Received: path="):
        write_eda(table, tmp_path / "eda.html", on_error="stop", force=True)
    assert (tmp_path / "eda.html").read_bytes() == before


@pytest.mark.parametrize("counts", [{"unknown": 2}, {"A": 1}])
def test_small_tables(tmp_path, counts):
    write_eda(animals(tmp_path, counts), tmp_path / "eda.html")
    read_page(tmp_path / "eda.html")


def test_boxes_are_cut_out(tmp_path):
    """Crops a large JPEG, which is decoded at a smaller scale."""
    pixels = np.zeros((1600, 2400, 3), "uint8")
    pixels[800:1200, 1200:1800] = 255
    Image.fromarray(pixels).save(tmp_path / "p.jpg", quality=95)
    whole = load_thumbnail(str(tmp_path / "p.jpg"), None, 240)
    assert whole.shape == (160, 240, 3)
    cut = load_thumbnail(str(tmp_path / "p.jpg"), [1200, 800, 600, 400], 100)
    assert cut.shape == (66, 100, 3)
    assert cut[8:-8, 8:-8].min() > 240 and cut[:2].max() < 100
    edge = load_thumbnail(str(tmp_path / "p.jpg"), [2300, 1500, 400, 400], 100)
    assert edge.shape[:2] == (100, 100)
    with pytest.raises(ValueError, match="lies outside the photo"):
        load_thumbnail(str(tmp_path / "p.jpg"), [9000, 0, 5, 5])


def test_tracking(monkeypatch):
    logged = {}

    class Run:
        def log(self, tables):
            logged.update(tables)

        def finish(self):
            logged["finished"] = True

    wandb = types.ModuleType("wandb")
    wandb.__spec__ = types.SimpleNamespace()
    wandb.init = lambda **options: Run()
    wandb.Table = lambda dataframe: dataframe
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    track_eda(listed({"A": 3}), "wandb")
    assert logged["finished"]
    assert logged["animals"].to_numpy().tolist() == [["A", 3]]
    with pytest.raises(ValueError, match="Received: tracker='mlflow'"):
        track_eda(listed({"A": 3}), "mlflow")


def test_what_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install wandb"):
        track_eda(listed({"A": 3}), "wandb")
    with pytest.raises(ValueError, match=r"pip install .*plots"):
        write_eda(listed({"A": 3}), tmp_path / "eda.html")


def test_command(tmp_path):
    out = tmp_path / "eda.html"
    run("eda", FINS / "metadata.csv", "--out", out)
    assert "metadata.csv" in read_page(out).text
    assert "--force" in run("eda", FINS / "metadata.csv", "--out", out, status=1)
    table = animals(tmp_path / "p", {"A": 2}).assign(
        bbox=pd.Series([[90, 90, 5, 5]] * 2)
    )
    write_table(table, tmp_path / "t.csv")
    text = run("eda", tmp_path / "t.csv", "--out", out, "--force")
    assert "A_0.png cannot be shown: the box" in text
    options = ("--out", out, "--force", "--on-error", "stop")
    assert "Received: path=" in run("eda", tmp_path / "t.csv", *options, status=1)
    run("eda", tmp_path / "t.csv", *options, "--no-boxes")
