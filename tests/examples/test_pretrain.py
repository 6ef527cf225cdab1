"""The pretraining script with a tiny network and 80 shipped photos in its format."""

from __future__ import annotations

import csv
import functools
import io
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, features

from examples import pretrain_tiny_imagenet
from examples._demo.photos import load_photos
from keras_involution import RedNet26, RedNetImageClassifier
from keras_involution.data import LabeledImages, decode, sheets, tiny_imagenet
from keras_involution.training import (
    RECIPES,
    Budget,
    averaged_weights,
)
from keras_involution.training.batches import scaled, scaling_of
from keras_involution.training.classifier.network import build_classifier
from tests.marks import one_backend
from tests.training.conftest import FAST
from tests.training.tiny_network import tiny_network

NAMES = ["crane, a bird", "crane, a machine", "watch", "leopard", "lotus"]
BUILD = functools.partial(tiny_network, 26, 32, NAMES)
needs_avif = pytest.mark.skipif(
    not features.check("avif"), reason="Pillow was built without AVIF"
)


def small_photos(split: str, classes: int = 5, each: int = 8) -> LabeledImages:
    images, labels = load_photos(split)
    rows = np.concatenate([np.flatnonzero(labels == c)[:each] for c in range(classes)])
    return LabeledImages(np.ascontiguousarray(images[rows, ::3, ::3]), labels[rows])


def prepared(images: np.ndarray) -> np.ndarray:
    return scaled(images.astype("float32"), scaling_of(BUILD().preprocessor))


def write_pack(folder, **splits: LabeledImages) -> None:
    """Writes sheets with two columns, one sheet per class, as in the dataset."""
    for name, (images, labels) in splits.items():
        side, files = images.shape[1], []
        for label in np.unique(labels):
            own = images[labels == label]
            rows = own.reshape(-1, 2, side, side, 3).swapaxes(1, 2)
            sheet = io.BytesIO()
            Image.fromarray(rows.reshape(-1, 2 * side, 3)).save(
                sheet, "AVIF", quality=90
            )
            files.append(sheet.getvalue())
        np.savez(
            folder / f"{name}.npz",
            sheets=np.frombuffer(b"".join(files), "uint8"),
            offsets=np.cumsum([0, *map(len, files)]),
            per_class=len(own),
            tile=side,
        )
    with (folder / "classes.csv").open("w", newline="") as file:
        rows = [
            {"label": i, "name": name, "imagenet1k_index": number}
            for i, (name, number) in enumerate(zip(NAMES, (7, 0, 9, 2, 4)))
        ]
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def pack(tmp_path, monkeypatch):
    """A folder of sheets with a validation image that is also a training image."""
    data = tmp_path / "data"
    data.mkdir()
    train, held_out = small_photos("train"), small_photos("test")
    held_out.images[3] = train.images[11]
    write_pack(data, **{"train-0": train, "train-1": train, "val": held_out})
    monkeypatch.setattr(pretrain_tiny_imagenet, "build_classifier", tiny_network)
    monkeypatch.setitem(RECIPES, "rednet_few_epochs", FAST)
    return data


def build(data, output, **changes):
    keras.utils.set_random_seed(0)
    arguments = {
        "depth": "26", "spatial_operator": "involution", "recipe": "rednet_few_epochs",
        "image_size": 32, "preset": None, "scales": (), "epochs": 2, "batch_size": 16,
        "minutes": None, "dtype_policy": "float32", "teacher": None,
        "temperature": 2.0, "label_weight": 0.5, "seed": 0, **changes,
    }  # fmt: skip
    return pretrain_tiny_imagenet.build_trainer(data, output, **arguments)


@one_backend
@needs_avif
def test_a_run_is_resumed_as_if_it_had_not_been_interrupted(pack, tmp_path):
    """The run resumes from a checkpoint in the middle of an epoch."""
    whole, copy = build(pack, tmp_path / "whole"), tmp_path / "copy"

    def on_step(progress):
        if progress.step == 6:
            whole.checkpoint()
            shutil.copytree(tmp_path / "whole", copy)

    whole.run(on_step)
    second = build(pack, copy)
    assert second.progress.step == 6
    second.run()
    names = ("epoch", "loss", "top_1", "top_5", "images")
    for one, two in zip(whole.progress.history, second.progress.history, strict=True):
        assert [one[name] for name in names] == [two[name] for name in names]
    for one, two in zip(whole.model.get_weights(), second.model.get_weights()):
        np.testing.assert_array_equal(one, two)
    assert [row["images"] for row in second.progress.history] == [8, 40]
    loaded = RedNetImageClassifier.from_preset(copy / "preset")
    assert loaded.backbone.dtype_policy.name == "float32"
    with averaged_weights(second.model):
        averages = second.model.get_weights()
    for one, two in zip(loaded.get_weights(), averages, strict=True):
        np.testing.assert_array_equal(one, two.astype("float16").astype("float32"))
    with pytest.raises(ValueError, match="Received: seed=1"):
        build(pack, copy, seed=1)


def test_minutes_end_the_schedule_before_the_steps_do():
    budget = Budget(epochs=2, steps_per_epoch=5, minutes=10.0)
    assert budget.fraction(0, 300) == budget.fraction(5, 0) == 0.5
    assert budget.fraction(8, 300) == 0.8 and budget.fraction(0, 900) == 1


@one_backend
@needs_avif
def test_the_whole_program(pack, tmp_path):
    output = tmp_path / "output"
    arguments = ["--data", str(pack), "--output", str(output), "--image-size", "32"]
    arguments += ["--epochs", "1", "--batch-size", "16"]
    outcome = CliRunner().invoke(pretrain_tiny_imagenet.main, arguments)
    assert outcome.exit_code == 0, outcome.output
    assert "78 of 80 training images" in outcome.output
    assert "Step 0 of 4." in outcome.output
    loaded = RedNetImageClassifier.from_preset(output / "preset")
    assert loaded.class_names == ["crane 1", "crane 2", "watch", "leopard", "lotus"]
    again = CliRunner().invoke(pretrain_tiny_imagenet.main, arguments)
    assert again.exit_code == 0 and "Step 4 of 4." in again.output
    arguments += ["--from-preset", str(output / "preset")]
    other = CliRunner().invoke(pretrain_tiny_imagenet.main, arguments)
    assert "Received: preset=" in str(other.exception)


@one_backend
def test_a_run_begins_from_a_preset(tmp_path):
    saved, model = BUILD(), BUILD()
    saved.save_to_preset(tmp_path)
    place = pretrain_tiny_imagenet.place_weights
    place(model, str(tmp_path))
    for one, two in zip(model.get_weights(), saved.get_weights()):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(ValueError, match="The preset has other classes"):
        place(tiny_network(26, 32, NAMES[::-1]), str(tmp_path))
    with pytest.raises(ValueError, match="more blocks, another width"):
        place(build_classifier(26, 32, NAMES), str(tmp_path))


@one_backend
def test_a_deeper_network_begins_with_the_outputs_of_the_preset(tmp_path):
    saved, deeper = (build_classifier(depth, 32, NAMES) for depth in (26, 38))
    rng = np.random.default_rng(0)
    saved.set_weights([w + rng.uniform(0, 0.1, w.shape) for w in saved.get_weights()])
    saved.save_to_preset(tmp_path)
    pretrain_tiny_imagenet.place_weights(deeper, str(tmp_path))
    x = rng.normal(size=(2, 32, 32, 3)).astype("float32")
    expected, found = (model.predict_on_batch(x) for model in (saved, deeper))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="more blocks"):
        deeper.save_to_preset(tmp_path / "deeper")
        pretrain_tiny_imagenet.place_weights(saved, str(tmp_path / "deeper"))


@one_backend
@needs_avif
def test_sheets_are_cut_where_the_tiles_are(tmp_path):
    photos = small_photos("train")
    write_pack(tmp_path, train=photos)
    assert tiny_imagenet.open_pack(tmp_path) is None
    write_pack(tmp_path, train=photos, val=photos)
    found = tiny_imagenet.open_pack(tmp_path)
    np.testing.assert_array_equal(found.labels[:40], photos.labels)
    assert found.official_splits == ["train"] * 40 + ["test"] * 40
    decoded = decode(lambda: found, tmp_path / "cache", lambda found: found.side)
    difference = decoded.data.images[40:].astype("float32") - photos.images
    assert np.abs(difference).mean((1, 2, 3)).max() < 10
    smaller = list(sheets.read_sheets([tmp_path / "val.npz"], 16))
    assert len(smaller) == 40 and smaller[0].shape == (16, 16, 3)


@one_backend
def test_a_preset_in_half_precision(tmp_path):
    model = build_classifier(26, 32, NAMES, dtype="mixed_bfloat16", drop_path_rate=0.1)
    assert model.get_layer("predictions").compute_dtype == "float32"
    assert model.backbone.layers[-1].compute_dtype == "bfloat16"
    model.get_layer("predictions").bias.assign([1e6, -1e6, 0, 1, 2])
    builder = functools.partial(build_classifier, 26, 32, NAMES)
    norm = model.backbone.get_layer("stack2_block1_3_bn")
    norm.gamma.assign(np.full(1024, 3))
    norm.beta.assign(np.full(1024, -5))
    scales = ["stack2_block1=0.1"]
    pretrain_tiny_imagenet.save_half(model, tmp_path / "preset", builder, scales)
    sizes = [file.stat().st_size for file in (tmp_path / "preset").rglob("*")]
    assert max(sizes) < 16 * 2**20 and sum(sizes) < 20 * 2**20
    loaded = RedNet26.from_preset(tmp_path / "preset")
    scaled = loaded.backbone.get_layer(norm.name).get_weights()
    np.testing.assert_allclose(scaled[0], np.full(1024, 0.3), rtol=1e-3)
    np.testing.assert_allclose(scaled[1], np.full(1024, -0.5), rtol=1e-3)
    bias = loaded.get_layer("predictions").bias
    expected = [65504, -65504, 0, 1, 2]
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(bias), expected)
