"""Heat maps of a table, from the network to the report."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from keras_involution.data.images import ImageError, read_image
from keras_involution.visualization import kernel_heatmaps
from keras_involution.whale_id import Heatmaps, embed, kernel_maps
from keras_involution.whale_id.assemble import build_network
from keras_involution.whale_id.cli import main
from keras_involution.whale_id.pages import MARGIN, load_thumbnail
from tests.whale_id.animals import animals
from tests.whale_id.settings import small

LAYER = "stack1_block0_2_involution"


@pytest.fixture(scope="module")
def network():
    return build_network(small())


def test_every_photo_has_the_map_of_its_own_picture(network, tmp_path):
    table = animals(tmp_path)
    maps, left_out = kernel_maps(network, table, layer=LAYER, batch_size=5)
    images = np.stack([read_image(path, (32, 32)) for path in table["path"]])
    prepared = network.preprocessor(images)
    expected = kernel_heatmaps(
        network.backbone, prepared, aggregate="mean", resize=False
    )
    assert list(maps) == list(table["image_id"]) and left_out == {}
    for found, wanted in zip(maps.values(), expected[LAYER], strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-3, rtol=1e-3)
    assert np.ptp([m.mean() for m in maps.values()]) > 1e-2


def test_boxes_are_as_wide_as_on_the_page(network, tmp_path):
    table = animals(tmp_path, identities=2, each=1, side=48)
    box = [4.0, 4.0, 20.0, 40.0]
    for path in table["path"]:
        whole = read_image(path, bbox=box, box_margin=MARGIN)
        np.testing.assert_array_equal(load_thumbnail(path, box), whole)
        shown = read_image(path, (32, 32), box, MARGIN)
        Image.fromarray(shown).save(path.replace(".png", "_shown.png"))
    boxed = table.assign(bbox=[box] * 2)
    shown = table.assign(path=table["path"].str.replace(".png", "_shown.png"))
    found, wanted = kernel_maps(network, boxed)[0], kernel_maps(network, shown)[0]
    for name, heat in wanted.items():
        np.testing.assert_allclose(found[name], heat, atol=1e-3, rtol=1e-3)


def test_the_stage_before_the_last_has_twice_the_positions(network, tmp_path):
    table = animals(tmp_path).iloc[:1]
    last, _ = kernel_maps(network, table, layer=LAYER)
    before, _ = kernel_maps(network, table)
    assert before["0_0"].shape == tuple(2 * n for n in last["0_0"].shape)


def test_what_has_no_map_is_named(network, tmp_path):
    table = animals(tmp_path)
    (tmp_path / "1_0.png").write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"1_0\.png"):
        kernel_maps(network, table)
    maps, left_out = kernel_maps(network, table, on_error="skip")
    assert len(maps) == 15 and list(left_out) == [table.loc[4, "path"]]
    with pytest.raises(ValueError, match="Received: layers='neck'"):
        kernel_maps(network, table, layer="neck", on_error="skip")
    other = build_network(small(backbone="involution_baseline"))
    with pytest.raises(ValueError, match="Name an involution"):
        kernel_maps(other, table, on_error="skip")


def test_any_image_id_is_saved_and_read_back(tmp_path):
    names = ("file", "a/b", "x.npy", "gräu", "../up")
    maps = {name: np.full((2, 3), i, "float16") for i, name in enumerate(names)}
    Heatmaps(maps).save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        assert {n: file[n].max() for n in file.files} == {
            name: i for i, name in enumerate(names)
        }
    with pytest.raises(ValueError, match="Received: path="):
        Heatmaps(maps).save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match=r"\.npz.*Received"):
        Heatmaps(maps).save(tmp_path / "m.png")


def test_from_photos_to_maps_in_the_report(network, tmp_path):
    table = animals(tmp_path)
    table.drop(columns="bbox").to_csv(tmp_path / "t.csv", index=False)
    network.save(tmp_path / "n.keras")
    paths = {name: str(tmp_path / name) for name in ("t.csv", "n.keras", "m.npz")}
    e, page = str(tmp_path / "e.npz"), str(tmp_path / "r.html")
    embed(keras.saving.load_model(tmp_path / "n.keras"), table)[0].save(e)
    report = ["report", e, e, "--out", page, "--leave-one-out", "--top", "2"]
    for command in (
        ["heatmaps", *paths.values()],
        [*report, "--heatmaps", paths["m.npz"]],
    ):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
    refused = CliRunner().invoke(main, ["heatmaps", *list(paths.values())[:2], "m.png"])
    assert refused.exit_code == 1 and "Received: path='m.png'" in refused.output
    text = (tmp_path / "r.html").read_text("utf-8")
    data = text.partition('<script type="application/json" id="data">')[2]
    content = json.loads(data.partition("</script>")[0])
    assert len({found["id"] for found in content["photos"]}) == 16
    # Each photo has a heat map, which is another image.
    shown = {(found["image"], found["map"]) for found in content["photos"]}
    assert len({number for pair in shown for number in pair}) == 2 * 16
