"""The pretraining, with a tiny network and 100 shipped photographs in its format."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, features

from examples import pretrain_tiny_imagenet
from examples._demo.photographs import load_photographs
from examples._training import batches, network, pictures, run, views
from examples._training.batches import Batches, prepared
from examples._training.cache import decode
from examples._training.datasets import sheets, tiny_imagenet
from keras_involution import RedNet26, RedNetImageClassifier
from keras_involution.training import RECIPES, averaged_weights
from tests.examples.tiny_network import tiny_network
from tests.marks import one_backend

NAMES = ["crane, a bird", "crane, a machine", "watch", "leopard", "lotus"]
RECIPE = dataclasses.replace(
    RECIPES["rednet_few_epochs"], sizes=((0.0, 1.0),), average_momentum=0.5
)


def small_photographs(split: str, classes: int = 5, each: int = 8) -> pictures.Pictures:
    images, labels = load_photographs(split)
    rows = np.concatenate([np.flatnonzero(labels == c)[:each] for c in range(classes)])
    return pictures.Pictures(np.ascontiguousarray(images[rows, ::3, ::3]), labels[rows])


def write_pack(folder, **splits: pictures.Pictures) -> None:
    """Sheets of two columns, one a class, as the pack has them."""
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
        rows = [{"label": i, "name": name} for i, name in enumerate(NAMES)]
        writer = csv.DictWriter(file, ["label", "name"])
        writer.writeheader()
        writer.writerows(rows)


BUILD = functools.partial(tiny_network, 26, 32, NAMES)


def settings(folder, **changes: object) -> run.Settings:
    arguments = {
        "output": folder,
        "pictures": pictures.Pictures(
            *map(
                np.concatenate,
                zip(small_photographs("train"), small_photographs("test")),
            )
        ),
        "rows": np.arange(40),
        "held_out_rows": np.arange(40, 80),
        "keep": lambda model, best: network.save_half(model, folder / "preset", BUILD),
        "recipe": RECIPE,
        "image_size": 32,
        "epochs": 2,
        "batch_size": 8,
        "checkpoint_minutes": 0.0,
        **changes,
    }
    return run.Settings(**arguments)


def new_run(folder, **changes: object) -> run.TrainingRun:
    keras.utils.set_random_seed(0)
    return run.TrainingRun(settings(folder, **changes), BUILD(dtype="float32"))


@pytest.mark.skipif(
    keras.config.backend() != "torch",
    reason="compiles for 20 seconds; tests/training/ has checkpoints on all backends",
)
def test_a_run_that_was_killed_goes_on_as_if_it_had_not(tmp_path, monkeypatch):
    """What is on the disk in the middle of a run against the run that went on."""
    monkeypatch.setattr(run, "SEGMENT", 2)
    whole, copy, reported = new_run(tmp_path / "whole"), tmp_path / "copy", []
    segment, seen = run.TrainingRun._segment, []

    def batches(*arguments):
        made = Batches(*arguments)
        seen.extend(made.steps)
        return made

    def observed(self, every):
        if self.progress.step == 7:
            shutil.copytree(tmp_path / "whole", copy)
        segment(self, every)

    monkeypatch.setattr(run, "Batches", batches)
    monkeypatch.setattr(run.TrainingRun, "_segment", observed)
    whole.go(reported.append)
    assert [figures["step"] for figures in reported] == [5, 10]
    monkeypatch.setattr(run.TrainingRun, "_segment", segment)
    second = new_run(copy)
    assert second.progress.step == 7
    second.go(lambda figures: None)
    assert seen == [*range(10), 7, 8, 9]
    for one, two in zip(whole.model.get_weights(), second.model.get_weights()):
        np.testing.assert_array_equal(one, two)
    names = ("step", "learning_rate", "loss", "top_1", "top_5", "pictures")
    for one, two in zip(whole.progress.history, second.progress.history):
        assert [one[name] for name in names] == [two[name] for name in names]
    check_preset(copy, second)
    check_statistics(second)
    with pytest.raises(ValueError, match=r"The folder holds a run with .*'seed': 0"):
        new_run(copy, seed=1)


def check_preset(folder, finished: run.TrainingRun) -> None:
    """It is float32 to build and float16 on disk, and answers as the network does."""
    loaded = RedNetImageClassifier.from_preset(folder / "preset")
    assert loaded.backbone.dtype_policy.name == "float32"
    assert loaded.class_names == NAMES
    with averaged_weights(finished.model.optimizer):
        averages = finished.model.get_weights()
    weights = finished.model.get_weights()
    assert any((one != two).any() for one, two in zip(weights, averages))
    for one, two in zip(loaded.get_weights(), averages):
        np.testing.assert_array_equal(one, two.astype("float16").astype("float32"))
    with (folder / run.HISTORY).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["5", "10"]
    assert [row["pictures"] for row in rows] == ["8", "40"]
    images, labels = small_photographs("test")
    views = loaded.preprocessor(images)
    scores = keras.ops.convert_to_numpy(loaded.predict_on_batch(views))
    assert float(rows[-1]["top_1"]) == (scores.argmax(-1) == labels).mean()
    own = scores[np.arange(len(labels)), labels]
    assert float(rows[-1]["top_5"]) == ((scores > own[:, None]).sum(-1) < 5).mean()


def check_statistics(finished: run.TrainingRun) -> None:
    """Those of normalisation are over whole pictures, which training never saw."""
    model, settings = finished.model, finished.settings
    whole = prepared(settings.pictures.images[settings.rows])
    first = model.backbone.get_layer("stem_1_conv")
    norm = model.backbone.get_layer("stem_1_bn")
    with averaged_weights(model.optimizer):
        stem = keras.Model(model.backbone.input, first.output)
        expected = keras.ops.convert_to_numpy(stem.predict_on_batch(whole))
        found = keras.ops.convert_to_numpy(norm.moving_mean)
    np.testing.assert_allclose(found, expected.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)


def test_minutes_end_the_schedule_before_the_steps_do(tmp_path):
    halfway = new_run(tmp_path, minutes=10.0)
    halfway.progress.seconds = 300.0
    assert halfway._share(0) == pytest.approx(0.5)
    assert halfway._share(8) == pytest.approx(0.8)
    halfway.progress.seconds = 900.0
    assert halfway._share(0) == 1.0


@one_backend
@pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
def test_the_whole_program(tmp_path, monkeypatch):
    data, output = tmp_path / "data", tmp_path / "output"
    data.mkdir()
    train = small_photographs("train")
    held_out = small_photographs("test")
    held_out.images[3] = train.images[11]
    write_pack(data, **{"train-0": train, "train-1": train, "val": held_out})
    monkeypatch.setattr(pretrain_tiny_imagenet, "build_network", tiny_network)
    arguments = ["--data", str(data), "--output", str(output), "--image-size", "32"]
    arguments += ["--epochs", "1", "--batch-size", "16"]
    outcome = CliRunner().invoke(pretrain_tiny_imagenet.main, arguments)
    assert outcome.exit_code == 0, outcome.output
    assert "78 of 80 training pictures" in outcome.output
    assert "step 0 of 4." in outcome.output
    rows = np.load(output / "cache" / "train-rows.npy")
    np.testing.assert_array_equal(np.setdiff1d(np.arange(80), rows), [11, 51])
    loaded = RedNetImageClassifier.from_preset(output / "preset")
    assert loaded.class_names == ["crane 1", "crane 2", "watch", "leopard", "lotus"]
    again = CliRunner().invoke(pretrain_tiny_imagenet.main, arguments)
    assert again.exit_code == 0 and "step 4 of 4." in again.output
    arguments += ["--from-preset", str(output / "preset")]
    other = CliRunner().invoke(pretrain_tiny_imagenet.main, arguments)
    assert "The folder holds a run with" in str(other.exception)


@one_backend
def test_a_run_begins_from_a_preset(tmp_path):
    saved, model = BUILD(), BUILD()
    saved.save_to_preset(tmp_path)
    network.place_weights(model, str(tmp_path))
    for one, two in zip(model.get_weights(), saved.get_weights()):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(ValueError, match="must have the classes of the pictures"):
        network.place_weights(tiny_network(26, 32, NAMES[::-1]), str(tmp_path))
    deeper = network.build_network(26, 32, NAMES)
    with pytest.raises(ValueError, match="of the same depth and operator"):
        network.place_weights(deeper, str(tmp_path))


@one_backend
@pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
def test_sheets_are_cut_where_the_tiles_are(tmp_path):
    photographs = small_photographs("train")
    write_pack(tmp_path, train=photographs)
    assert tiny_imagenet.open_pack(tmp_path) is None
    write_pack(tmp_path, train=photographs, val=photographs)
    pack = tiny_imagenet.open_pack(tmp_path)
    np.testing.assert_array_equal(pack.labels[:40], photographs.labels)
    assert pack.given == ["train"] * 40 + ["test"] * 40
    decoded = decode(lambda: pack, tmp_path / "cache", lambda found: found.tile)
    difference = decoded.pictures.images[40:].astype("float32") - photographs.images
    assert np.abs(difference).mean((1, 2, 3)).max() < 10
    smaller = list(sheets.read_sheets([tmp_path / "val.npz"], 16))
    assert len(smaller) == 40 and smaller[0].shape == (16, 16, 3)


@one_backend
def test_views_are_resized_as_pillow_does_it():
    images, _ = small_photographs("train")
    box = (3.5, 2.25, 25.5, 30.25)
    start, end = np.array(box[:2]), np.array(box[2:])
    count = np.ones(len(images))
    columns, rows = (
        views.resizing_weights(start[i] * count, (end - start)[i] * count, 32, 20)
        for i in (0, 1)
    )
    found = views.apply_weights(images, rows, columns)
    bilinear = Image.Resampling.BILINEAR
    for image, view in zip(images, found):
        expected = Image.fromarray(image).resize((20, 20), bilinear, box)
        np.testing.assert_allclose(view, np.asarray(expected), atol=2)
    whole = views.whole_views(images, 16)
    expected = np.asarray(Image.fromarray(images[0]).resize((16, 16), bilinear))
    np.testing.assert_allclose(whole[0], expected, atol=2)


@one_backend
def test_random_views_are_mirrored_half_of_the_time():
    """A picture that is dark on the left and its mirror image."""
    images = np.zeros((200, 8, 8, 3), "uint8")
    images[:, :, 4:] = 255
    found = views.random_views(images, 8, np.random.default_rng(0), (1.0, 1.0), 1.0)
    left = found[:, 4, 0, 0] < 1
    right = found[:, 4, -1, 0] < 1
    assert (left ^ right).all() and 80 < left.sum() < 120


@one_backend
def test_an_epoch_has_every_picture_once_in_an_order_of_its_own():
    train = small_photographs("train")
    rows = np.arange(1, 33)
    batches = Batches(train, rows, range(8), 8, 32, RECIPE, seed=0, num_classes=5)
    epochs = [
        np.concatenate([batches.rows_of(s) for s in e]) for e in (range(4), range(4, 8))
    ]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), rows)
    assert not np.array_equal(*epochs)
    images, targets = batches[5]
    np.testing.assert_array_equal(targets.argmax(-1), train.labels[batches.rows_of(5)])
    assert abs(images.mean()) < 2 and images.dtype == "float32"
    later = Batches(train, rows, range(5, 6), 8, 32, RECIPE, seed=0, num_classes=5)
    np.testing.assert_array_equal(later[0][0], images)


@one_backend
def test_threads_prepare_the_batches_that_one_by_one_are_made(monkeypatch):
    recipe = dataclasses.replace(RECIPE, rand_augment=0.5, mix_up=0.2, cut_mix=1.0)
    made = Batches(
        small_photographs("train"), np.arange(40), range(9), 8, 32, recipe, 0, 5
    )
    pools, pool = [], batches.ThreadPoolExecutor
    monkeypatch.setattr(
        batches, "ThreadPoolExecutor", lambda count: pools.append(count) or pool(count)
    )
    found = list(made.ahead(threads=3))
    assert len(found) == 9 and pools == [3]
    for number, (images, targets) in enumerate(found):
        expected = made[number]
        np.testing.assert_array_equal(images, expected[0])
        np.testing.assert_array_equal(targets, expected[1])


@one_backend
def test_weights_too_large_for_half_precision_stay_finite(tmp_path):
    model = network.build_network(
        26, 32, NAMES, dtype="mixed_bfloat16", drop_path_rate=0.1
    )
    assert model.get_layer("predictions").compute_dtype == "float32"
    assert model.backbone.layers[-1].compute_dtype == "bfloat16"
    model.get_layer("predictions").bias.assign([1e6, -1e6, 0, 1, 2])
    build = functools.partial(network.build_network, 26, 32, NAMES)
    network.save_half(model, tmp_path / "preset", build)
    sizes = [file.stat().st_size for file in (tmp_path / "preset").rglob("*")]
    assert max(sizes) < 16 * 2**20 and sum(sizes) < 20 * 2**20
    bias = RedNet26.from_preset(tmp_path / "preset").get_layer("predictions").bias
    expected = [65504, -65504, 0, 1, 2]
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(bias), expected)
