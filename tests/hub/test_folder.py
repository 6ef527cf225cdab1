"""A preset folder is written completely or not at all, and only where allowed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_involution import RedNetBackbone, RedNetImageClassifier
from keras_involution.hub import _folder, _format
from tests.hub.networks import assert_same_weights, tiny_backbone
from tests.marks import one_backend

KILLED = """
import keras, os, signal, sys
from tests.hub.networks import tiny_classifier
save = keras.saving.save_weights
def save_then_die(model, path, **kwargs):
    save(model, path, **kwargs)
    if path.name == "task.weights.h5":
        print("dying", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
keras.saving.save_weights = save_then_die
tiny_classifier().save_to_preset(sys.argv[1])
"""

# Dies at the first step after the temporary folder is complete.
KILLED_LATE = """
import os, shutil, signal, sys
from tests.hub.networks import tiny_backbone
rename = os.rename
def die(*arguments, **options):
    if arguments[1:]:
        rename(*arguments)
    print("dying", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
os.rename = shutil.rmtree = die
tiny_backbone(kernel_size=5).save_to_preset(sys.argv[1])
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_in_the_way_is_left_alone(classifier, tmp_path):
    (tmp_path / "p").write_text("mine")
    with pytest.raises(ValueError, match=r"is a file.*Received: folder="):
        classifier.save_to_preset(tmp_path / "p")
    assert contents(tmp_path) == {"p": b"mine"}


def test_a_folder_of_other_files_is_left_alone(classifier, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds files other than.*Received: folder="):
        classifier.save_to_preset(tmp_path)
    assert contents(tmp_path) == {"thesis.txt": b"mine"}


def test_parents_are_made_and_an_empty_folder_is_filled(classifier, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for folder in (tmp_path / "a" / "b", tmp_path / "c" / "d"):
        classifier.save_to_preset(folder)
        assert (folder / "config.json").is_file()
        assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_card_and_other_files_beside_a_preset_are_kept(preset, classifier):
    (preset / "README.md").write_text("a card")
    (preset / "figures").mkdir()
    (preset / "figures" / "curve.txt").write_text("1 2 3")
    (preset / "model_00000.weights.h5").write_bytes(b"an old shard")
    classifier.save_to_preset(preset)
    assert (preset / "README.md").read_text() == "a card"
    assert (preset / "figures" / "curve.txt").read_text() == "1 2 3"
    assert not (preset / "model_00000.weights.h5").exists()


def test_the_same_model_gives_the_same_bytes(preset, classifier):
    before = contents(preset)
    classifier.save_to_preset(preset)
    assert contents(preset) == before


def test_a_link_to_a_folder_stays_a_link(preset, classifier, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(preset, target_is_directory=True)
    classifier.save_to_preset(link)
    assert link.is_symlink()
    assert_same_weights(RedNetImageClassifier.from_preset(link), classifier)


def test_the_folder_is_readable_by_others_as_the_umask_says(classifier, tmp_path):
    classifier.save_to_preset(tmp_path / "p")
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "p").stat().st_mode == (tmp_path / "plain").stat().st_mode


@one_backend
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("step", ["weights", "keep", "swap"])
def test_an_exception_leaves_what_was_there(
    saved, preset, classifier, monkeypatch, step, exists
):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    target = preset if exists else preset.parent / "new"
    before = contents(preset)
    where = {"weights": keras.saving, "keep": _folder, "swap": _folder}[step]
    name = {"weights": "save_weights", "keep": "_keep_other_files", "swap": "_swap"}
    monkeypatch.setattr(where, name[step], fail)
    with pytest.raises(OSError, match="No space left"):
        classifier.save_to_preset(target)
    assert contents(preset) == before
    assert [path.name for path in preset.parent.iterdir()] == [preset.name]


def test_a_failed_second_rename_puts_the_old_folder_back(
    preset, classifier, monkeypatch
):
    rename, calls = os.rename, []

    def fail_second(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(_folder, "_exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", fail_second)
    before = contents(preset)
    with pytest.raises(OSError, match="Input/output"):
        classifier.save_to_preset(preset)
    assert contents(preset) == before
    assert [path.name for path in preset.parent.iterdir()] == [preset.name]


@one_backend
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_killed_in_the_middle_of_saving(preset, classifier):
    before = contents(preset)
    run = [sys.executable, "-c", KILLED, str(preset)]
    killed = subprocess.run(run, capture_output=True, text=True)
    assert killed.stdout.strip() == "dying", killed.stderr
    assert killed.returncode == -signal.SIGKILL
    assert contents(preset) == before
    (draft,) = set(preset.parent.iterdir()) - {preset}
    classifier.save_to_preset(preset)
    assert draft.exists()  # It could belong to a running process.
    os.utime(draft, (0, 0))
    classifier.save_to_preset(preset)
    assert [path.name for path in preset.parent.iterdir()] == [preset.name]


@one_backend
@pytest.mark.skipif(sys.platform != "linux", reason="Linux exchanges two folders")
def test_killed_in_the_middle_of_the_exchange(preset):
    """At every moment, either the old or the new preset exists."""
    run = [sys.executable, "-c", KILLED_LATE, str(preset)]
    killed = subprocess.run(run, capture_output=True, text=True)
    assert killed.stdout.split() == ["dying"], killed.stderr
    assert killed.returncode == -signal.SIGKILL
    assert RedNetBackbone.from_preset(preset).kernel_size == 5


@one_backend
@pytest.mark.parametrize("exchanged", (True, False))
def test_the_old_preset_goes_when_the_new_one_is_there(preset, monkeypatch, exchanged):
    if not exchanged:
        monkeypatch.setattr(_folder, "_exchange", lambda one, other: False)
    tiny_backbone(kernel_size=5).save_to_preset(preset)
    assert RedNetBackbone.from_preset(preset).kernel_size == 5
    assert [path.name for path in preset.parent.iterdir()] == [preset.name]


def test_a_backbone_keeps_the_head_around_itself(preset, classifier):
    new = RedNetBackbone.from_preset(preset, load_weights=False)
    new.save_to_preset(preset, max_shard_size=10)
    loaded = RedNetImageClassifier.from_preset(preset)
    assert_same_weights(loaded.backbone, new)
    np.testing.assert_array_equal(
        loaded.layers[-1].get_weights()[0], classifier.layers[-1].get_weights()[0]
    )


def test_a_backbone_removes_the_head_of_another(preset):
    tiny_backbone(kernel_size=5).save_to_preset(preset)
    assert not _format.PRESET_FILES - _format.BACKBONE_FILES & set(contents(preset))
    assert RedNetBackbone.from_preset(preset).kernel_size == 5


def test_an_optimizer_is_not_saved(classifier, tmp_path):
    model = RedNetImageClassifier(classifier.backbone, 3)
    model.compile(optimizer="adam", loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.save_to_preset(tmp_path / "p")
    size = (tmp_path / "p" / "task.weights.h5").stat().st_size
    assert size < 4 * 3 * 129 + 20_000


class TestShards:
    def test_round_trip(self, classifier, tmp_path):
        classifier.save_to_preset(tmp_path / "p", max_shard_size=100_000 / 2**30)
        names = set(contents(tmp_path / "p"))
        assert "model.weights.h5" not in names
        assert len([name for name in names if _format.is_shard(name)]) >= 2
        assert_same_weights(
            RedNetImageClassifier.from_preset(tmp_path / "p"), classifier
        )

    def test_a_whole_file_replaces_shards_and_back(self, classifier, tmp_path):
        folder = tmp_path / "p"
        whole = {}
        for size in (100_000 / 2**30, 5, 100_000 / 2**30, None):
            classifier.save_to_preset(folder, max_shard_size=size)
            whole[size] = "model.weights.h5" in contents(folder)
            sharded = any(map(_format.is_shard, contents(folder)))
            assert sharded is not whole[size]
        assert whole == {100_000 / 2**30: False, 5: True, None: True}
