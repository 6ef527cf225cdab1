"""Training of classifiers with a tiny network and images of three colors."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from keras_involution import RedNetImageClassifier
from keras_involution.cli import main
from keras_involution.data import (
    DecodedImages,
    LabeledImages,
    open_collection,
    split_by_fractions,
)
from keras_involution.training import (
    ClassifierSettings,
    averaged_weights,
    test_classifier,
    trainer,
)
from keras_involution.training import begin_classifier as begin
from keras_involution.training import resume_classifier as resume
from keras_involution.training.classifier import metrics, network, plots, run
from keras_involution.training.classifier.data import ClassifierData
from keras_involution.training.shards import find_shards
from tests.data.folders import write_folder
from tests.marks import one_backend
from tests.training.conftest import settings
from tests.training.tiny_network import tiny_network

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("tiny")


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open() as file:
        return list(csv.DictReader(file))


def splits_of(table: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in rows_of(table):
        found.setdefault(row["split"], set()).add(row["name"])
    return found


def names_in(data: Path) -> list[str]:
    return sorted(f"{file.parent.name}/{file.name}" for file in data.glob("*/[0-9]*"))


def weights_of(folder: Path) -> list[np.ndarray]:
    return RedNetImageClassifier.from_preset(folder).get_weights()


def check_equal(one: list[np.ndarray], two: list[np.ndarray]) -> None:
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)


def said(arguments: list[str], fails: bool = False) -> str:
    outcome = CliRunner().invoke(main, arguments)
    assert (outcome.exit_code != 0) == fails, outcome.output
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit)
    return outcome.output


def test_what_is_tested_was_neither_trained_nor_validated_on(trained):
    """The metrics equal those of the saved preset on the files."""
    data, folder, done = trained
    found, confusion = test_classifier(folder)
    splits, names = splits_of(folder / "split.csv"), names_in(data)
    predictions = rows_of(folder / "predictions.csv")
    used = {
        "train": {names[row] for row in done.data.rows},
        "val": {names[row] for row in done.evaluate.__self__.held_out},
        "test": {row["name"] for row in predictions},
    }
    assert {split: len(own) for split, own in splits.items()} == {
        "train": 21, "val": 3, "test": 6
    }  # fmt: skip
    for split, own in used.items():
        assert own == splits[split] - {"blue/004.png"}
    assert found["skipped"] == ("blue/004.png" in splits["test"])
    assert confusion.sum() == len(used["test"])
    model = RedNetImageClassifier.from_preset(folder / "best")
    correct = []
    for row in predictions:
        image = np.asarray(Image.open(data / row["name"]))
        scores = model.predict_on_batch(model.preprocessor(image[None]))
        probabilities = metrics.probabilities(np.asarray(scores))[0]
        name = model.class_names[probabilities.argmax()]
        assert row["class"] == row["name"].split("/")[0]
        assert row["prediction"] == name
        assert float(row["probability"]) == pytest.approx(probabilities.max(), abs=1e-3)
        correct.append(name == row["class"])
    assert found["accuracy"] == pytest.approx(np.mean(correct))
    assert json.loads((folder / "test.json").read_text()) == found


@one_backend
def test_validation_sees_whole_images_and_averaged_weights(trained):
    """The last row of `epochs.csv` equals the metrics of the last preset."""
    data, folder, done = trained
    names, rows = names_in(data), done.evaluate.__self__.held_out
    images = np.stack([np.asarray(Image.open(data / names[row])) for row in rows])
    model = RedNetImageClassifier.from_preset(folder / "last")
    scores = model.predict_on_batch(model.preprocessor(images))
    labels = np.array([model.class_names.index(names[r].split("/")[0]) for r in rows])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, scores)
    last = rows_of(folder / "epochs.csv")[-1]
    assert float(last["val_loss"]) == pytest.approx(float(loss), abs=1e-4)
    correct = np.asarray(scores).argmax(-1) == labels
    assert float(last["top_1"]) == pytest.approx(correct.mean(), abs=1e-4)
    raw = done.model.get_weights()
    with averaged_weights(done.model):
        check_equal(model.get_weights(), done.model.get_weights())
    check_equal(raw, done.model.get_weights())
    assert any((a != b).any() for a, b in zip(raw, model.get_weights()))


@one_backend
def test_statistics_of_normalization_are_over_whole_images(trained):
    done = trained[2]
    own = done.evaluate.__self__
    rows = np.random.default_rng((0, 2)).permutation(own.rows)[:18]
    images = own.data.decoded.data.images[rows].astype("float32")
    whole = np.asarray(own.model.preprocessor(images))
    stem = keras.Model(
        own.model.backbone.input, own.model.backbone.get_layer("stem_1_conv").output
    )
    with averaged_weights(done.model):
        expected = keras.ops.convert_to_numpy(stem.predict_on_batch(whole))
    norm = own.model.backbone.get_layer("stem_1_bn")
    found = keras.ops.convert_to_numpy(norm.moving_mean)
    np.testing.assert_allclose(found, expected.mean((0, 1, 2)), rtol=1e-3, atol=1e-4)


@one_backend
def test_every_step_has_the_rate_of_its_schedule(trained):
    _, folder, done = trained
    steps = rows_of(folder / "steps.csv")
    rates = [float(row["learning_rate"]) for row in steps]
    schedule = done.learning_rate
    expected = [float(schedule(step)) for step in range(done.budget.steps)]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    assert len(rates) == 6 and max(rates) > 2 * rates[-1]


@one_backend
def test_the_best_weights_stay_when_later_ones_are_worse(tmp_path, monkeypatch):
    data, folder, seen = write_folder(tmp_path / "data"), tmp_path / "run", []
    accuracies = iter([0.5, 0.9, 0.9, 0.3])

    def measured(scores, labels):
        found = metrics.classification_metrics(scores, labels)
        return {**found, "top_1": next(accuracies)}

    monkeypatch.setattr(run, "classification_metrics", measured)
    begin(folder, settings(data, epochs=4))
    training = resume(folder)

    def on_step(progress):
        if progress.step % training.budget.steps_per_epoch == 0:
            with averaged_weights(training.model):
                seen.append(training.model.get_weights())

    training.run(on_step)
    check_equal(weights_of(folder / "best"), seen[1])
    check_equal(weights_of(folder / "last"), seen[3])
    assert any((a != b).any() for a, b in zip(seen[1], seen[3]))
    assert training.progress.best == 0.9 and training.progress.best_epoch == 2


KILLED = """
import os, signal, sys
from keras_involution.cli import main
from keras_involution.training import trainer

trainer.CHECKPOINT_BYTES = 8192
checkpoint, synchronize = trainer.Trainer.checkpoint, os.fsync

def last_checkpoint(self):
    if len(self.progress.history) == 2:
        os.fsync = die
    checkpoint(self)

def die(file):
    synchronize(file)
    os.kill(os.getpid(), signal.SIGKILL)

trainer.Trainer.checkpoint = last_checkpoint
main(["resume", sys.argv[1]])
"""


def writings_of(folder: Path) -> list[str]:
    """The ids of the saved checkpoints with existing shards, each below 8 KiB."""
    parts = find_shards(folder / "checkpoint.npz")
    assert all(part.stat().st_size <= 8192 for part in parts)
    return sorted({part.name.split(".")[-2] for part in parts})


@one_backend
def test_a_killed_process_is_resumed_with_the_same_losses(tmp_path, monkeypatch):
    """The process is killed after the second validation, while it writes a checkpoint.

    One shard of the checkpoint is on disk. The resumed run reads the images from its
    cache.
    """
    data = write_folder(tmp_path / "data")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    begin(whole, settings(data, epochs=3, augmentation="happywhale"))
    shutil.copytree(whole, broken)
    resume(whole).run()
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(broken)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert len(rows_of(broken / "epochs.csv")) == 2 and len(writings_of(broken)) == 2
    monkeypatch.setattr(trainer, "CHECKPOINT_BYTES", 8192)
    shutil.rmtree(data)
    again = resume(broken)
    assert again.progress.step == 3 and again.budget.steps == 9
    again.run()
    assert len(writings_of(broken)) == 1
    assert len(find_shards(broken / "checkpoint.npz")) > 2
    for table, names in (
        ("epochs.csv", ("step", "epoch", "loss", "val_loss", "top_1")),
        ("steps.csv", ("step", "loss", "learning_rate")),
    ):
        one, two = rows_of(whole / table), rows_of(broken / table)
        assert len(one) == {"epochs.csv": 3, "steps.csv": 9}[table]
        for first, second in zip(one, two, strict=True):
            assert [first[name] for name in names] == [second[name] for name in names]
    for name in ("best", "last"):
        check_equal(weights_of(whole / name), weights_of(broken / name))


@one_backend
def test_the_commands(tmp_path):
    data, folder, table = write_folder(tmp_path / "d"), tmp_path / "run", tmp_path / "s"
    table = table.with_suffix(".csv")
    (data / "blue" / "broken.png").write_bytes(b"broken")
    arguments = ["--data", str(data), "--leave-out", "red"]
    split = ["split", *arguments, "--per-class", "6-train,1-val,2-test"]
    assert "2 classes: " in said([*split, "--output", str(table)])
    assert {k: len(v) for k, v in splits_of(table).items()} == {
        "train": 12, "val": 2, "test": 4, "unused": 3
    }  # fmt: skip
    (tmp_path / "c.yaml").write_text("image_size: 16\nepochs: 9\nbatch_size: 6\n")
    train = ["train", *arguments, "--output", str(folder), "--split", str(table)]
    train += ["--config", str(tmp_path / "c.yaml"), "--epochs", "1"]
    train += ["--optimizer", "SGD", "--optimizer-kwargs", "momentum=0.8"]
    train += ["--lr-scheduler", "StepLR", "--lr-scheduler-kwargs", '{"step_size": 1}']
    output = said([*train, "--num-workers", "1", "--log", "csv,tensorboard"])
    assert "blue/broken.png: it is not an image" in output and "1 skipped" in output
    assert "epoch 1 of 1" in output
    assert list((folder / "tensorboard").glob("events*"))
    assert "The folder holds a run: `resume" in said(train, fails=True)
    assert "step 2 of 2" in said(["resume", str(folder)])
    # One of four images is damaged.
    assert "3 test images, last weights" in said(
        ["test", str(folder), "--weights", "last"]
    )
    for name in ("confusion.png", "curves.png"):
        with Image.open(folder / name) as drawn:
            assert min(drawn.size) > 400
    # Two classes again, so that the head of the preset is kept and only it is trained.
    probe = [*train, "--from-preset", str(folder / "best"), "--probe"]
    probe[probe.index("--output") + 1] = str(tmp_path / "probe")
    said([*probe, "--on-error", "skip"])
    start, after = (weights_of(tmp_path / "probe" / name) for name in ("start", "last"))
    check_equal(start[:-2], after[:-2])
    assert (start[-2] != after[-2]).any()
    check_equal(start, weights_of(folder / "best"))
    wrong = [*train, "--force", "--optimizer-kwargs", "momentun=0.8"]
    assert "did you mean `momentum`" in said(wrong, fails=True)
    (folder / "thesis.txt").write_text("mine")
    assert "holds thesis.txt" in said([*train, "--force"], fails=True)
    assert (folder / "epochs.csv").exists()


@one_backend
def test_what_cannot_be_trained_or_resumed_is_said_before_the_work(tmp_path):
    data, folder = write_folder(tmp_path / "data"), tmp_path / "run"
    with pytest.raises(ValueError, match="`model` cannot be chosen"):
        settings(data, from_preset="rednet_26", model="resnet")
    with pytest.raises(ValueError, match=r"Received: probe=True"):
        settings(data, probe=True)
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="`learning_rate` must be positive"):
            settings(data, learning_rate=rate)
    for file in (data / "red").glob("0*"):
        file.write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"Received: classes=\['red'\]"):
        begin(folder, settings(data))
    with pytest.raises(ValueError, match=r"red/000\.png: it is not an image"):
        begin(folder, settings(data, on_error="stop"))
    with pytest.raises(ValueError, match=r"Expected the folder of a run"):
        resume(folder)
    own = {"leave_out": ["red"]}
    with pytest.raises(ValueError, match="Received: images=14, batch_size=50"):
        begin(folder, settings(data, **own, batch_size=50))
    with pytest.raises(ValueError, match="nonsense"):
        begin(folder, settings(data, **own, dtype_policy="nonsense"))
    for changes, message in (
        ({"optimizer": "wild"}, "Received: optimizer='wild'"),
        ({"lr_scheduler": "wild"}, "Received: schedule='wild'"),
        ({"lr_scheduler": "StepLR"}, "`StepLR` needs the argument `step_size`"),
        (
            {"lr_scheduler": "LinearLR", "lr_scheduler_kwargs": {"gama": 1}},
            "`LinearLR` has no argument `gama`",
        ),
        ({"log": ["paper"]}, "log='paper'"),
    ):
        with pytest.raises(ValueError, match=message):
            begin(folder, settings(data, **own, **changes))
    begin(folder, settings(data, **own))
    with pytest.raises(ValueError, match="no weights to test"):
        test_classifier(folder)
    found = json.loads((folder / "run.json").read_text())
    assert found["versions"]["keras"] == keras.__version__
    found["versions"]["backend"] = "numpy"
    (folder / "run.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match="KERAS_BACKEND=numpy"):
        resume(folder)
    begin(folder, settings(data, **own), force=True)


@one_backend
def test_a_class_without_images_does_not_vanish_in_silence(tmp_path):
    data, table = write_folder(tmp_path / "data"), tmp_path / "split.csv"
    split = ["split", "--data", str(data), "--output", str(table), "--force"]
    assert "Left out" not in said(split)
    for file in (data / "red").iterdir():
        file.unlink()
    (data / "mauve").mkdir()
    own = {"leave_out": ["mauve"], "split": str(table)}
    with pytest.raises(ValueError, match=r"folders are now empty: red\. Received: spl"):
        begin(tmp_path / "run", settings(data, **own))
    warning = "Left out, because they hold no image: mauve, red."
    assert warning in said(split)
    warnings: list[str] = []
    begin(tmp_path / "run", settings(data), warn=warnings.append)
    assert warnings == [warning]
    without = [*split, "--leave-out", "mauve", "--leave-out", "red"]
    assert "Left out" not in said(without)
    # With split folders, a class is not empty if any split has images of it.
    for name in ("train", "test"):
        shutil.copytree(data, tmp_path / "splits" / name)
    for file in (tmp_path / "splits" / "test" / "blue").iterdir():
        file.unlink()
    split[2] = str(tmp_path / "splits")
    assert warning in said(split)


@one_backend
def test_skipped_images_are_counted_in_the_split_that_has_them(tmp_path):
    data, folder = write_folder(tmp_path / "data"), tmp_path / "run"
    counts = {"train": 3, "val": 1, "test": 2}
    split = split_by_fractions(open_collection(data))
    for name, count in counts.items():
        broken = [one for one, own in zip(names_in(data), split) if own == name]
        for one in broken[:count]:
            (data / one).write_bytes(b"broken")
    found = begin(folder, settings(data))
    assert {name: found.skipped(name) for name in counts} == counts
    assert [len(found.rows(name)) for name in counts] == [18, 2, 4]


@one_backend
def test_the_preset_determines_the_depth(tmp_path):
    data, preset = write_folder(tmp_path / "data"), tmp_path / "preset"
    network.build_classifier(26, 16, ["a", "b"]).save_to_preset(preset)
    wanted = r"the depth \(26\), so .* Received: depth='50', from_preset="
    with pytest.raises(ValueError, match=wanted):
        begin(tmp_path / "run", settings(data, from_preset=str(preset), depth="50"))
    assert not (tmp_path / "run").exists()
    begin(tmp_path / "same", settings(data, from_preset=str(preset), depth="26"))
    tiny_network(26, 16, ["a", "b"]).save_to_preset(preset)
    with pytest.raises(ValueError, match="not that of a published network"):
        begin(tmp_path / "run", settings(data, from_preset=str(preset), depth="26"))


@one_backend
def test_nothing_is_removed_that_does_not_belong_to_a_run(tmp_path):
    """Files with the names of a run in a folder that is not a run."""
    data, folder = write_folder(tmp_path / "data"), tmp_path / "mine"
    (folder / "best").mkdir(parents=True)
    for name in ("best/thesis.txt", "predictions.csv", "split.csv"):
        (folder / name).write_text("mine")
    with pytest.raises(ValueError, match="not empty and holds no run"):
        begin(folder, settings(data), force=True)
    assert (folder / "best" / "thesis.txt").read_text() == "mine"
    begun = tmp_path / "run"
    begin(begun, settings(data))
    with pytest.raises(ValueError, match="must be outside its folder"):
        begin(begun, settings(data, from_preset=str(begun / "start")), force=True)
    assert weights_of(begun / "start")
    # Files of an interrupted preparation and of a checkpoint are removed, but not files
    # that only have similar names.
    (begun / "checkpoint.npz.0123abcd.001").write_bytes(b"part")
    (begun / "checkpoint.npz.backup").write_text("mine")
    with pytest.raises(ValueError, match=r"holds checkpoint\.npz\.backup, which"):
        begin(begun, settings(data), force=True)
    (begun / "checkpoint.npz.backup").unlink()
    (begun / "run.json").unlink()
    begin(begun, settings(data))
    assert not find_shards(begun / "checkpoint.npz")


@one_backend
def test_a_training_image_that_shows_one_held_out_is_named():
    images = np.random.default_rng(0).integers(0, 255, (6, 20, 20, 3), "uint8")
    images[1] = np.clip(images[4].astype(int) + 2, 0, 255)
    decoded = DecodedImages(
        LabeledImages(images, np.arange(6)), list("abcdef"), [""] * 6, {}
    )
    data = ClassifierData(decoded, ["train"] * 3 + ["val", "test", "unused"])
    assert data.duplicates() == ["b"]


@one_backend
def test_a_split_that_was_changed_is_refused(trained, tmp_path):
    folder = shutil.copytree(trained[1], tmp_path / "run")
    text = (folder / "split.csv").read_text()
    (folder / "split.csv").write_text(text.replace(",train", ",test", 1))
    for command in (resume, test_classifier):
        with pytest.raises(ValueError, match="has changed since the run started"):
            command(folder)


@one_backend
def test_a_preset_keeps_its_preprocessing_and_loses_a_head_of_other_classes(tmp_path):
    model = tiny_network(26, 24, ["a", "b", "c"], drop_path_rate=0.2)
    model.preprocessor.scale = 0.5
    model.save_to_preset(tmp_path / "preset")
    same, named, more = (
        network.classifier_of_preset(tmp_path / "preset", names, size)
        for names, size in (
            (["a", "b", "c"], None),
            (["a", "b", "d"], 16),
            ("abcd", 16),
        )
    )
    check_equal(same.get_weights(), model.get_weights())
    assert same.preprocessor.image_size == (24, 24) and same.preprocessor.scale == 0.5
    assert same.backbone.drop_path_rate == 0
    check_equal(more.backbone.get_weights(), model.backbone.get_weights())
    assert more.preprocessor.image_size == (16, 16) and more.num_classes == 4
    assert (named.get_weights()[-2] != model.get_weights()[-2]).any()


@one_backend
def test_metrics_are_those_of_their_definitions():
    scores = np.array([[3, 1, 2], [1, 1, 0], [1, 1, 0], [0, 0, 9.0]])
    labels = np.array([0, 0, 1, 2])
    np.testing.assert_array_equal(metrics.ranks(scores, labels), [0, 0, 1, 0])
    found = metrics.classification_metrics(scores, labels)
    assert found["top_1"] == 0.75 and found["top_5"] == 1
    assert found["mean_per_class"] == pytest.approx(2 / 3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, scores)
    assert found["val_loss"] == pytest.approx(float(loss))
    confusion = metrics.confusion_matrix(labels, np.array([0, 2, 0, 2]), 3)
    np.testing.assert_array_equal(confusion, [[1, 0, 1], [1, 0, 0], [0, 0, 1]])
    assert metrics.confused_pairs(confusion) == [(0, 2, 1), (1, 0, 1)]


@one_backend
def test_many_classes_are_drawn_without_their_names(tmp_path):
    names = [f"${i}" for i in range(40)]
    plots.draw_confusion(np.eye(40, dtype=int), names, tmp_path / "many.png")
    assert [file.name for file in tmp_path.iterdir()] == ["many.png"]


@one_backend
def test_settings_come_back_from_their_file(tmp_path):
    one = settings(tmp_path, optimizer_kwargs={"momentum": 0.5}, log=["csv"])
    one.save(tmp_path / "c.yaml")
    assert ClassifierSettings.load(tmp_path / "c.yaml") == one
    with pytest.raises(ValueError, match="did you mean `epochs`"):
        ClassifierSettings.load(tmp_path / "c.yaml", epoch=3)
