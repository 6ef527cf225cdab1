"""The training of classifiers, with a tiny network and pictures of three colours."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from examples import train_classifier
from examples._training import (
    classifier,
    logs,
    metrics,
    network,
    plots,
    run,
    splits,
)
from examples._training.cache import Decoded
from examples._training.choices import Choices
from examples._training.classifier import begin, continued
from examples._training.datasets import open_collection
from examples._training.measured import measured
from examples._training.pictures import Pictures
from keras_involution import RedNetImageClassifier
from keras_involution.training import RECIPES, averaged_weights
from keras_involution.training.parts import find_parts
from tests.examples.folders import write_folder
from tests.examples.tiny_network import tiny_network
from tests.marks import one_backend

ROOT = Path(__file__).parents[2]
FAST = dataclasses.replace(
    RECIPES["rednet_few_epochs"], sizes=((0.0, 1.0),), average_momentum=0.5
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A tiny network, a recipe of one size with averages, pictures of that size."""
    monkeypatch.setattr(classifier, "build_network", tiny_network)
    monkeypatch.setitem(RECIPES, "rednet_few_epochs", FAST)
    monkeypatch.setattr(classifier, "side_of", lambda found, image_size: image_size)


def choices(data: Path, **changes: object) -> Choices:
    arguments = {"data": str(data), "leave_out": [], "image_size": 16, "epochs": 1}
    return Choices(**{**arguments, "batch_size": 6, **changes})


def history_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def parts_of(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            found.setdefault(row["split"], set()).add(row["name"])
    return found


def weights_of(folder: Path) -> list[np.ndarray]:
    return RedNetImageClassifier.from_preset(folder).get_weights()


def check_equal(one: list[np.ndarray], two: list[np.ndarray]) -> None:
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)


def test_what_is_tested_has_neither_been_trained_nor_validated_on(tmp_path):
    """Figures of the files themselves, by the preset that was kept."""
    data, folder = write_folder(tmp_path / "data"), tmp_path / "run"
    (data / "blue" / "004.png").write_bytes(b"broken")
    begin(folder, choices(data, on_error="skip"))
    training = continued(folder)
    training.go(lambda figures: None)
    figures, confusion = measured(folder)
    parts, names = parts_of(folder / "split.csv"), names_in(data)
    used = {
        "train": {names[row] for row in training.settings.rows},
        "val": {names[row] for row in training.settings.held_out_rows},
        "test": {row["name"] for row in predictions(folder)},
    }
    assert {part: len(own) for part, own in parts.items()} == {
        "train": 21, "val": 3, "test": 6
    }  # fmt: skip
    for part, own in used.items():
        assert own == parts[part] - {"blue/004.png"}
    assert figures["skipped"] == ("blue/004.png" in parts["test"])
    assert confusion.sum() == len(used["test"])
    model = RedNetImageClassifier.from_preset(folder / "best")
    right = []
    for row in predictions(folder):
        image = np.asarray(Image.open(data / row["name"]))
        [[(name, probability), *_]] = model.classify([image])
        assert row["class"] == row["name"].split("/")[0]
        assert (row["prediction"], float(row["probability"])) == (
            name, pytest.approx(probability, abs=1e-3)
        )  # fmt: skip
        right.append(name == row["class"])
    assert figures["accuracy"] == pytest.approx(np.mean(right))
    assert json.loads((folder / "test.json").read_text()) == figures


def names_in(data: Path) -> list[str]:
    return sorted(f"{file.parent.name}/{file.name}" for file in data.glob("*/[0-9]*"))


def predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open() as file:
        return list(csv.DictReader(file))


@one_backend
def test_validation_sees_whole_pictures_and_averaged_weights(tmp_path):
    """The last row of the history is what the last preset does on the files."""
    data, folder = write_folder(tmp_path / "data"), tmp_path / "run"
    # A rate at which two epochs move the answers far from those of other views.
    begin(folder, choices(data, epochs=2, learning_rate=0.1))
    training = continued(folder)
    training.go(lambda figures: None)
    names = names_in(data)
    rows = training.settings.held_out_rows
    images = np.stack([np.asarray(Image.open(data / names[row])) for row in rows])
    model = RedNetImageClassifier.from_preset(folder / "last")
    scores = model.predict_on_batch(model.preprocessor(images))
    labels = np.array([model.class_names.index(names[r].split("/")[0]) for r in rows])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, scores)
    last = history_of(folder)[-1]
    assert float(last["val_loss"]) == pytest.approx(float(loss), abs=1e-4)
    assert float(last["top_1"]) == pytest.approx(
        (scores.argmax(-1) == labels).mean(), abs=1e-4
    )
    raw = training.model.get_weights()
    with averaged_weights(training.model.optimizer):
        check_equal(model.get_weights(), training.model.get_weights())
    assert any((a != b).any() for a, b in zip(raw, model.get_weights()))


@one_backend
def test_the_best_weights_stay_when_later_ones_are_worse(tmp_path, monkeypatch):
    data, folder, seen = write_folder(tmp_path / "data"), tmp_path / "run", []
    figures = iter([0.5, 0.9, 0.9, 0.3])

    def figures_of(scores, labels):
        return {**metrics.figures_of(scores, labels), "top_1": next(figures)}

    monkeypatch.setattr(run, "figures_of", figures_of)
    begin(folder, choices(data, epochs=4))
    training = continued(folder)

    def report(row):
        with averaged_weights(training.model.optimizer):
            seen.append(training.model.get_weights())

    training.go(report)
    check_equal(weights_of(folder / "best"), seen[1])
    check_equal(weights_of(folder / "last"), seen[3])
    assert any((a != b).any() for a, b in zip(seen[1], seen[3]))


KILLED = """
import os, signal, sys
from examples._training import run
from examples.train_classifier import main

run.PART_BYTES = 8192
save, synchronize = run.TrainingRun.save, os.fsync

def last_save(self):
    if len(self.progress.history) == 2:
        os.fsync = die
    save(self)

def die(file):
    synchronize(file)
    os.kill(os.getpid(), signal.SIGKILL)

run.TrainingRun.save = last_save
main(["resume", sys.argv[1]])
"""


def writings_of(folder: Path) -> list[str]:
    """Of which writings there are parts of a checkpoint, and each is below 8 KiB."""
    parts = find_parts(folder / "checkpoint.npz")
    assert all(part.stat().st_size <= 8192 for part in parts)
    return sorted({part.name.split(".")[-2] for part in parts})


@one_backend
def test_a_killed_process_goes_on_with_the_same_losses(tmp_path, monkeypatch):
    """Killed after the second validation was written, in the midst of its checkpoint.

    One part of it is on the disk.
    """
    data = write_folder(tmp_path / "data")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    begin(whole, choices(data, epochs=3))
    shutil.copytree(whole, broken)
    continued(whole).go(lambda figures: None)
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(broken)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert len(history_of(broken)) == 2 and len(writings_of(broken)) == 2
    monkeypatch.setattr(run, "PART_BYTES", 8192)
    shutil.rmtree(data)
    again = continued(broken)
    assert again.progress.step == 3 and again.total == 9
    again.go(lambda figures: None)
    assert len(writings_of(broken)) == 1
    assert len(find_parts(broken / "checkpoint.npz")) > 2
    one, two = history_of(whole), history_of(broken)
    assert len(one) == 3
    names = ("step", "learning_rate", "loss", "val_loss", "top_1", "pictures")
    for first, second in zip(one, two, strict=True):
        assert [first[name] for name in names] == [second[name] for name in names]
    for part in ("best", "last"):
        check_equal(weights_of(whole / part), weights_of(broken / part))


@one_backend
def test_the_commands(tmp_path):
    data, folder, table = write_folder(tmp_path / "d"), tmp_path / "run", tmp_path / "s"
    (data / "blue" / "broken.png").write_bytes(b"broken")
    arguments = ["--data", str(data), "--leave-out", "red"]
    split = ["split", *arguments, "--per-class", "6-train,1-val,2-test"]
    assert "2 classes: " in said([*split, "--output", str(table)])
    assert {k: len(v) for k, v in parts_of(table).items()} == {
        "train": 12, "val": 2, "test": 4, "unused": 3
    }  # fmt: skip
    train = ["train", *arguments, "--output", str(folder), "--split", str(table)]
    train += ["--image-size", "16", "--epochs", "1", "--batch-size", "6"]
    output = said([*train, "--track", "csv,tensorboard"])
    assert "blue/broken.png: it is no picture" in output and "1 skipped" in output
    assert list((folder / "tensorboard").glob("events*"))
    assert "There is a run in the folder: `resume" in said(train, fails=True)
    assert "step 2 of 2" in said(["resume", str(folder)])
    # Of four, one is broken.
    assert "3 test pictures, last weights" in said(
        ["test", str(folder), "--weights", "last"]
    )
    for name in ("confusion.png", "curves.png"):
        with Image.open(folder / name) as drawn:
            assert min(drawn.size) > 400
    # Two classes again, so the head of the preset stays and is trained alone.
    probe = [*train, "--from-preset", str(folder / "best"), "--probe"]
    probe[probe.index("--output") + 1] = str(tmp_path / "probe")
    said([*probe, "--on-error", "skip"])
    start, after = (weights_of(tmp_path / "probe" / name) for name in ("start", "last"))
    check_equal(start[:-2], after[:-2])
    assert (start[-2] != after[-2]).any()
    check_equal(start, weights_of(folder / "best"))
    (folder / "thesis.txt").write_text("mine")
    assert "holds thesis.txt" in said([*train, "--force"], fails=True)
    assert (folder / "history.csv").exists()


def said(arguments: list[str], fails: bool = False) -> str:
    outcome = CliRunner().invoke(train_classifier.main, arguments)
    assert (outcome.exit_code != 0) == fails, outcome.output
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit)
    return outcome.output


@one_backend
def test_what_cannot_be_trained_or_continued_is_said_before_the_work(tmp_path):
    data, folder = write_folder(tmp_path / "data"), tmp_path / "run"
    with pytest.raises(ValueError, match="cannot be chosen beside it"):
        begin(folder, choices(data, preset="rednet_26", model="resnet"))
    with pytest.raises(ValueError, match=r"name one\. Received: probe=True"):
        begin(folder, choices(data, probe=True))
    for file in (data / "red").glob("0*"):
        file.write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"Received: classes=\['red'\]"):
        begin(folder, choices(data, on_error="skip"))
    with pytest.raises(ValueError, match=r"red/000\.png: it is no picture"):
        begin(folder, choices(data))
    with pytest.raises(ValueError, match=r"Expected the folder of a run"):
        continued(folder)
    own = {"leave_out": ["red"]}
    with pytest.raises(ValueError, match="Received: pictures=14, batch_size=50"):
        begin(folder, choices(data, **own, batch_size=50))
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="The rate must be positive"):
            begin(folder, choices(data, **own, learning_rate=rate))
    with pytest.raises(ValueError, match="nonsense"):
        begin(folder, choices(data, **own, dtype_policy="nonsense"))
    begin(folder, choices(data, **own))
    with pytest.raises(ValueError, match="no weights to test"):
        measured(folder)
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["versions"]["keras"] == keras.__version__
    settings["versions"]["backend"] = "numpy"
    (folder / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="KERAS_BACKEND=numpy"):
        continued(folder)
    begin(folder, choices(data, **own), force=True)


@one_backend
def test_a_class_without_pictures_does_not_vanish_in_silence(tmp_path):
    data, table = write_folder(tmp_path / "data"), tmp_path / "split.csv"
    split = ["split", "--data", str(data), "--output", str(table), "--force"]
    assert "Left out" not in said(split)
    for file in (data / "red").iterdir():
        file.unlink()
    (data / "mauve").mkdir()
    own = {"leave_out": ["mauve"], "split": str(table)}
    with pytest.raises(ValueError, match=r"folders have none now: red\. Received: spl"):
        begin(tmp_path / "run", choices(data, **own))
    said_so = "Left out, for there is no picture in it: mauve, red."
    assert said_so in said(split)
    train = ["train", "--data", str(data), "--output", str(tmp_path / "run")]
    train += ["--image-size", "16", "--epochs", "1", "--batch-size", "6"]
    assert said_so in said(train)
    without = [*split, "--leave-out", "mauve", "--leave-out", "red"]
    assert "Left out" not in said(without)
    # Where classes lie in parts, one that some part has is not empty.
    for part in ("train", "test"):
        shutil.copytree(data, tmp_path / "parts" / part)
    for file in (tmp_path / "parts" / "test" / "blue").iterdir():
        file.unlink()
    split[2] = str(tmp_path / "parts")
    assert said_so in said(split)


@one_backend
def test_skipped_pictures_are_counted_in_the_part_that_has_them(tmp_path):
    data, folder = write_folder(tmp_path / "data"), tmp_path / "run"
    parts = {"train": 3, "val": 1, "test": 2}
    split = splits.split_by_shares(open_collection(data))
    for part, count in parts.items():
        broken = [name for name, own in zip(names_in(data), split) if own == part]
        for name in broken[:count]:
            (data / name).write_bytes(b"broken")
    run_data = begin(folder, choices(data, on_error="skip"))
    assert {part: run_data.skipped(part) for part in parts} == parts
    continued(folder).go(lambda figures: None)
    figures, confusion = measured(folder)
    assert figures["skipped"] == 2 and confusion.sum() == figures["pictures"] == 4


@one_backend
def test_a_depth_beside_a_preset_is_the_preset_s(tmp_path):
    data, preset = write_folder(tmp_path / "data"), tmp_path / "preset"
    network.build_network(26, 16, ["a", "b"]).save_to_preset(preset)
    wanted = r"The preset has the depth 26, .* Received: depth='50', preset="
    with pytest.raises(ValueError, match=wanted):
        begin(tmp_path / "run", choices(data, preset=str(preset), depth="50"))
    assert not (tmp_path / "run").exists()
    begin(tmp_path / "same", choices(data, preset=str(preset), depth="26"))
    tiny_network(26, 16, ["a", "b"]).save_to_preset(preset)
    with pytest.raises(ValueError, match="the depth of no published network"):
        begin(tmp_path / "run", choices(data, preset=str(preset), depth="26"))


@one_backend
def test_nothing_is_removed_that_is_not_the_runs_own(tmp_path):
    """Files with the names of a run's, in a folder of somebody else."""
    data, folder = write_folder(tmp_path / "data"), tmp_path / "mine"
    (folder / "best").mkdir(parents=True)
    for name in ("best/thesis.txt", "predictions.csv", "split.csv"):
        (folder / name).write_text("mine")
    with pytest.raises(ValueError, match="not empty and holds no run"):
        begin(folder, choices(data), force=True)
    assert (folder / "best" / "thesis.txt").read_text() == "mine"
    begun = tmp_path / "run"
    begin(begun, choices(data))
    with pytest.raises(ValueError, match="must lie outside of its folder"):
        begin(begun, choices(data, preset=str(begun / "start")), force=True)
    with pytest.raises(ValueError, match="There is no"):
        begin(begun, choices(data, preset=str(tmp_path / "none")), force=True)
    assert weights_of(begun / "start")
    # What a preparation leaves that was killed makes room for the next, and parts of a
    # checkpoint do, but not what is merely called like one.
    (begun / "checkpoint.npz.0123abcd.001").write_bytes(b"part")
    (begun / "checkpoint.npz.backup").write_text("mine")
    with pytest.raises(ValueError, match=r"holds checkpoint\.npz\.backup, which"):
        begin(begun, choices(data), force=True)
    (begun / "checkpoint.npz.backup").unlink()
    (begun / "settings.json").unlink()
    begin(begun, choices(data))
    assert not find_parts(begun / "checkpoint.npz")


@one_backend
def test_a_training_picture_that_shows_one_held_out_is_named(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (6, 20, 20, 3), "uint8")
    images[1] = np.clip(images[4].astype(int) + 2, 0, 255)
    pictures = Pictures(images, np.arange(6))
    names = list("abcdef")
    data = classifier.Data(
        Decoded(pictures, names, [""] * 6, {}),
        ["train"] * 3 + ["val", "test", "unused"],
    )
    assert data.copied() == ["b"]


@one_backend
def test_a_split_that_was_changed_is_refused(tmp_path):
    data, folder = write_folder(tmp_path / "data"), tmp_path / "run"
    begin(folder, choices(data))
    text = (folder / "split.csv").read_text()
    (folder / "split.csv").write_text(text.replace(",train", ",test", 1))
    for command in (continued, measured):
        with pytest.raises(ValueError, match="not as the run began with it"):
            command(folder)


@one_backend
def test_every_step_has_the_rate_of_its_schedule(tmp_path, monkeypatch):
    data, folder, rates = write_folder(tmp_path / "data"), tmp_path / "run", []
    recipe = dataclasses.replace(FAST, warm_up_epochs=1.0)
    monkeypatch.setitem(RECIPES, "rednet_few_epochs", recipe)
    begin(folder, choices(data, epochs=4))
    training = continued(folder)
    step = training.trained.train_on_batch

    def observed(*arguments, **options):
        rates.append(float(training.model.optimizer.learning_rate))
        return step(*arguments, **options)

    monkeypatch.setattr(training.trained, "train_on_batch", observed)
    training.go(lambda figures: None)
    expected = [float(training.schedule(step)) for step in range(training.total)]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    assert rates[0] < rates[1] < rates[2] > rates[-1]


@one_backend
@pytest.mark.parametrize(
    "text", ["0.7,0.1,0.9", "nan,0.5,0.5", "0,0,1", "1", "a,b,c", "0,0.5,0.5"]
)
def test_shares_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match="Received: shares="):
        splits.shares_of(text)


@one_backend
def test_a_preset_keeps_its_preprocessing_and_loses_a_head_of_other_classes(tmp_path):
    model = tiny_network(26, 24, ["a", "b", "c"], drop_path_rate=0.2)
    model.preprocessor.scale = 0.5
    model.save_to_preset(tmp_path / "preset")
    same, named, more = (
        network.network_of_preset(tmp_path / "preset", names, size)
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
def test_figures_are_those_of_their_definitions():
    scores = np.array([[3, 1, 2], [1, 1, 0], [1, 1, 0], [0, 0, 9.0]])
    labels = np.array([0, 0, 1, 2])
    np.testing.assert_array_equal(metrics.ranks(scores, labels), [0, 0, 1, 0])
    found = metrics.figures_of(scores, labels)
    assert found["top_1"] == 0.75 and found["top_5"] == 1
    assert found["mean_per_class"] == pytest.approx(2 / 3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, scores)
    assert found["val_loss"] == pytest.approx(float(loss))
    confusion = metrics.confusion_of(labels, np.array([0, 2, 0, 2]), 3)
    np.testing.assert_array_equal(confusion, [[1, 0, 1], [1, 0, 0], [0, 0, 1]])
    assert metrics.confused_pairs(confusion) == [(0, 2, 1), (1, 0, 1)]


@one_backend
def test_many_classes_are_drawn_without_their_names(tmp_path):
    names = [f"${i}" for i in range(40)]
    plots.draw_confusion(np.eye(40, dtype=int), names, tmp_path / "many.png")
    assert [file.name for file in tmp_path.iterdir()] == ["many.png"]


@one_backend
def test_figures_go_to_the_trackers_that_are_asked_for(tmp_path, monkeypatch):
    lines: list = []
    wandb = types.ModuleType("wandb")
    wandb.__spec__ = types.SimpleNamespace()
    wandb.init = lambda **options: lines.append(options)
    wandb.log = lambda figures, step: lines.append((step, figures))
    wandb.finish = lambda: lines.append("finished")
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    [log] = logs.open_trackers(["csv", "wandb"], tmp_path, {"seed": 1})
    log.write("epochs", 3, {"top_1": 0.5})
    log.close()
    assert lines[0]["project"] == "rednet" and lines[0]["config"] == {"seed": 1}
    assert lines[1:] == [(3, {"epochs/top_1": 0.5}), "finished"]
    monkeypatch.delitem(sys.modules, "wandb")
    monkeypatch.setattr(logs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install wandb.*track='wandb'"):
        logs.check_trackers(["csv", "wandb"])
    with pytest.raises(ValueError, match="track='paper'"):
        logs.check_trackers(["paper"])
