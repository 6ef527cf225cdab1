"""Photos and catalogs that give no answer, or only a poor one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from keras_involution import RedNetImageConverter
from keras_involution.whale_id import EmbeddingNetwork, Embeddings
from keras_involution.whale_id.fusion import Matcher, with_local_features
from keras_involution.whale_id.local import Keypoints, LocalFeatures
from keras_involution.whale_id.model import INVOLUTION_BASELINE, build_backbone
from keras_involution.whale_id.runs import load_run
from keras_involution.whale_id.tables import from_wildlife
from tests.hub.networks import tiny_backbone, tiny_classifier
from tests.marks import one_backend
from tests.whale_id.command import run

pytestmark = one_backend
OPTIONS = ("--side", 96, "--region", "whole", "--no-calibration")


def textured(seed: int, side: int = 96) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), "uint8")
    return Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)


# The query photo, and the message of the command about it.
PHOTOS = {
    "one color": (lambda: Image.new("RGB", (96, 96), "gray"), "new.png: w"),
    "10x10 pixels": (lambda: textured(7, 10), "new.png: w"),
    "one pixel": (lambda: Image.new("L", (1, 1)), "new.png: w"),
    "100 megapixels": (lambda: Image.new("L", (10_001, 10_000)), "pixels allowed"),
}


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A catalog of two animals, embedded once."""
    folder = tmp_path_factory.mktemp("known")
    for number in range(2):
        (folder / "photos" / f"w{number}").mkdir(parents=True)
        textured(number).save(folder / "photos" / f"w{number}" / f"{number}.png")
    run("embed", folder / "photos", "rednet_26_tiny_imagenet",
        folder / "known.npz", *OPTIONS[:4], "--flip", "none")  # fmt: skip
    return folder / "known.npz"


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photo_that_shows_little(name, known, tmp_path):
    draw, said = PHOTOS[name]
    (tmp_path / "new").mkdir()
    draw().save(tmp_path / "new" / "new.png")
    textured(1).rotate(3).save(tmp_path / "new" / "good.png")
    text = run("identify", tmp_path / "new", "--database", known, "--no-calibration")
    # The other photos of the folder always have an answer.
    assert said in text and "good.png: w1, w0" in text and "%" not in text


def test_photos_are_added_once(known, tmp_path):
    database = tmp_path / "catalog.npz"
    database.write_bytes(known.read_bytes())
    (tmp_path / "new").mkdir()
    textured(1).rotate(3).save(tmp_path / "new" / "good.png")
    pair = (tmp_path / "new", "--database", database, "--no-calibration")
    assert "1 photos added to 2" in run("identify", *pair, "--add")
    grown = Embeddings.load(database)
    assert len(grown) == 3 and len(grown.extras["local_points"]) == 3
    assert grown.settings == Embeddings.load(known).settings
    assert "0 photos added to 3" in run("identify", *pair, "--add")
    assert "Received: database=" in run("identify", *pair[:1], "--add", status=1)
    (tmp_path / "other").mkdir()
    textured(5).save(tmp_path / "other" / "good.png")
    text = run("identify", tmp_path / "other", *pair[1:], "--add", status=1)
    assert "another photo with the same `image_id`" in text


def catalog(counts: dict[str, int], **columns) -> Embeddings:
    """Embeddings of generated animals with four keypoints per photo."""
    names = [(f"{a}_{n}", a) for a, count in counts.items() for n in range(count)]
    frame = pd.DataFrame(names, columns=["image_id", "identity"])
    table = from_wildlife(frame.assign(path=frame["image_id"], **columns), "/")
    random = np.random.default_rng(0)
    local = LocalFeatures.pack(
        [
            Keypoints(random.random((4, 2)) * 90, np.eye(4, 64), (96, 96))
            for _ in range(len(table))
        ]
    )
    features = random.normal(size=(len(table), 8))
    return with_local_features(Embeddings(features, table), local)


# A catalog, and the number of animals in an answer.
CATALOGS = {
    "one animal": (lambda: catalog({"A": 3}), 1),
    "one photo": (lambda: catalog({"A": 1}), 1),
    "one photo each": (lambda: catalog(dict.fromkeys("ABCDEF", 1)), 5),
    "a side that is not known": (
        lambda: catalog({"A": 2, "B": 2}, viewpoint=["left", "", "right", "?"]), 2,
    ),
    "only the other side": (
        lambda: catalog({"A": 2, "B": 2}, viewpoint=["right"] * 3 + ["left"]), 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CATALOGS)
def test_a_catalog_that_holds_little(name):
    make, animals = CATALOGS[name]
    database = make()
    query = database.rows([0])
    query.table["viewpoint"] = "left"
    matcher = Matcher(database).fit()
    # There is no data to fit a probability, so none is given.
    assert matcher.calibration is None and "pairs of one animal" in matcher.reason
    found = matcher.rank(query, top=5)
    assert found.probabilities is None and found.is_new is None
    named = found.ranking.labels[0] != ""
    assert named.sum() == animals and np.isfinite(found.ranking.scores[0][named]).all()


def test_an_id_that_is_there_twice(tmp_path):
    found = catalog({"A": 2, "B": 1})
    found.table.loc[1, "image_id"] = found.table["image_id"][0]
    found.save(tmp_path / "twice.npz")
    text = run("identify", tmp_path / "twice.npz", status=1)
    assert "whale-id check" in text and "Received: image_id=['A_0']" in text


def test_a_catalog_is_not_compared_with_itself(known):
    """Named twice, it is one collection: no photo is its own best match."""
    text = run("identify", known, "--database", known, "--no-calibration")
    assert "w0/0.png: w1\n" in text and "w1/1.png: w0\n" in text
    assert "not with itself" in text


def test_photos_without_known_animals(tmp_path):
    """Refused before a photo is read, with the option that helps."""
    (tmp_path / "new ones").mkdir()
    textured(1).save(tmp_path / "new ones" / "a.png")
    text = run("identify", tmp_path / "new ones", status=1)
    assert "--database names the photos of known animals. Received: " in text
    text = run("cluster", tmp_path / "new ones", tmp_path / "groups.csv", status=1)
    assert "--calibration with a file of `evaluate --save-calibration`" in text


def test_commands_that_cannot_begin(known, tmp_path):
    table = pd.DataFrame({"image_id": ["a", "a"], "path": ["0.png"] * 2})
    table.assign(identity="w0").to_csv(tmp_path / "twice.csv", index=False)
    model = "rednet_26_tiny_imagenet"
    arguments = ("embed", tmp_path / "twice.csv", model, tmp_path / "twice.npz")
    assert "unique `image_id`" in run(*arguments, status=1)
    assert "`whale-id split` writes" in run("evaluate", known, status=1)
    photos = known.parent / "photos"
    commands = [
        ("identify", photos, "--model", "no such"),
        ("heatmaps", photos, "no such", tmp_path / "maps.npz"),
    ]
    for command in commands:
        assert "no such run, `.keras` file or preset" in run(*command, status=1)
    text = run("heatmaps", photos, model, tmp_path / "maps.npz")
    assert "2 heat maps" in text


def test_settings_that_a_backbone_cannot_have():
    for name in ("rednet_26_tiny_imagenet", INVOLUTION_BASELINE):
        for settings in ({"spatial_operator": "convolution"}, {"kernel_size": 3}):
            with pytest.raises(ValueError, match=r"from scratch.*Received: backbone="):
                build_backbone(name, (32, 32, 3), **settings)


def test_a_preset_that_keeps_the_size_of_images(tmp_path):
    converter = RedNetImageConverter(data_format="channels_last")
    tiny_classifier(preprocessor=converter).save_to_preset(tmp_path / "p")
    assert load_run(tmp_path / "p").network.image_size == (224, 224)


def test_images_that_are_no_batch():
    network = EmbeddingNetwork(tiny_backbone(image_shape=(32, 32, 3)))
    assert network.embed([]).shape == (0, network.size)
    for images in (np.zeros((32, 32, 3), "uint8"), "photo.jpg"):
        with pytest.raises(ValueError, match=r"`images` must be.*Received: images="):
            network.embed(images)
