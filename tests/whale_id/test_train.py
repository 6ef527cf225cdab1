"""Training: resumed after a kill, repeatable, stopped, rejected."""

from __future__ import annotations

import csv
import importlib.machinery
import importlib.util
import json
import os
import signal
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_involution.data.images import ImageError
from keras_involution.whale_id.assemble import Classes, build_training_model
from keras_involution.whale_id.cli import main
from keras_involution.whale_id.embeddings import embed
from keras_involution.whale_id.runs import load_run
from keras_involution.whale_id.train import train
from tests.marks import one_backend
from tests.whale_id.animals import animals, portrait
from tests.whale_id.settings import one_stage

# Trains in a separate process, which kills itself in the middle if requested.
PROGRAM = """
import os, signal, sys
import pandas as pd
from keras_involution.whale_id.train import train
from tests.whale_id.settings import one_stage

table, last, folders = sys.argv[1], int(sys.argv[2]), sys.argv[3:]

def on_step(progress):
    if progress.step == last:
        os.kill(os.getpid(), signal.SIGKILL)

settings = one_stage(checkpoint_every=2, ema_decay=0.9, dropout=0.2,
                     augmentation="happywhale", sampling="balanced")
for folder in folders:
    train(pd.read_pickle(table), settings, folder, resume=True, on_step=on_step)
"""


def losses(folder, kind="steps") -> list[tuple[str, ...]]:
    with (folder / f"{kind}.csv").open(newline="") as file:
        return [(row["step"], row["loss"]) for row in csv.DictReader(file)]


def in_its_own_process(table, last: int, *folders) -> int:
    environment = {
        **os.environ, "KERAS_BACKEND": keras.config.backend(), "OMP_NUM_THREADS": "1"
    }  # fmt: skip
    command = [sys.executable, "-c", PROGRAM, *map(str, (table, last, *folders))]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode in (0, -signal.SIGKILL), result.stderr[-2000:]
    return result.returncode


def test_a_killed_run_goes_on_with_the_same_losses(tmp_path):
    """With all sources of randomness, so that a seed determines a run."""
    table = tmp_path / "table.pkl"
    animals(tmp_path).to_pickle(table)
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    # One step after the checkpoint of step four, in the middle of an epoch, so that the
    # run must discard a logged step.
    assert in_its_own_process(table, 5, broken) == -signal.SIGKILL
    assert len(losses(broken)) == 5
    # The uninterrupted run uses the folder of another run, of which nothing is left.
    assert in_its_own_process(table, 0, broken, unbroken) == 0
    assert len(losses(broken)) == 9
    for kind in ("steps", "epochs"):
        assert losses(broken, kind) == losses(unbroken, kind)


@one_backend
def test_another_seed_is_another_run(tmp_path):
    table = animals(tmp_path)
    for seed in (0, 1):
        train(table, one_stage(epochs=1, seed=seed), tmp_path / str(seed))
    assert losses(tmp_path / "0") != losses(tmp_path / "1")


def test_a_run_learns_and_is_read_back(tmp_path):
    table = animals(tmp_path)
    # All photos in one batch without augmentation: only the initial weights are random.
    settings = one_stage(
        epochs=8, batch_size=12, augmentation="none", ema_decay=0.5, clip_norm=5.0
    )
    network = train(table, settings, tmp_path / "run")
    run = load_run(tmp_path / "run")
    one, two = (embed(n, table, head=run.head)[0] for n in (network, run.network))
    np.testing.assert_allclose(one.features, two.features, atol=1e-5)
    assert tuple(two.classes) == tuple(f"animal_{i}" for i in range(4))
    assert two.logits.shape == (16, 4) and np.abs(two.logits).max() <= 1 + 1e-5
    values = [float(loss) for _, loss in losses(tmp_path / "run", "epochs")]
    assert values[-1] < values[0] / 10
    assert list((tmp_path / "run" / "tensorboard").iterdir())


@one_backend
def test_a_run_stops_when_it_gets_no_better(tmp_path):
    seen = []
    settings = one_stage(
        epochs=30, early_stop=2, learning_rate=0.0, augmentation="none"
    )
    train(
        animals(tmp_path), settings, tmp_path / "run",
        on_step=lambda progress: seen.append(progress.stopped),
    )  # fmt: skip
    assert len(seen) < 40 and "no improvement since" in seen[-1]


@one_backend
def test_a_run_stops_when_its_time_is_up_and_goes_on_with_more(tmp_path):
    table = animals(tmp_path)
    train(table, one_stage(minutes=1e-6), tmp_path / "run")
    assert len(losses(tmp_path / "run")) == 1
    train(table, one_stage(), tmp_path / "run", resume=True)
    assert len(losses(tmp_path / "run")) == 9


@pytest.mark.parametrize(
    "changes",
    (
        {"head": "softmax", "dtype_policy": "mixed_bfloat16", "optimizer": "sgd"},
        {"backbone": "involution_baseline", "optimizer": "adam"},
        # Heads and schedules have separate tests on every backend.
        *(
            pytest.param(changes, marks=one_backend)
            for changes in (
                {"head": "arcface", "margin": 0.3, "lr_scheduler": "step"},
                {"optimizer": "sgd", "lr_scheduler": "ramp_sustain_decay"},
                {"spatial_operator": "convolution", "lr_scheduler": "exponential"},
            )
        ),
    ),
    ids=str,
)
def test_every_choice_trains(tmp_path, changes):
    table = animals(tmp_path)
    table["species"] = ["whale", "dolphin"] * 8
    # No validation data; other tests cover validation.
    table = table[table["split"] == "train"]
    network = train(table, one_stage(epochs=1, **changes), tmp_path / "run")
    assert np.isfinite(embed(network, table)[0].features).all()


def test_a_species_that_is_not_known_is_no_species(tmp_path):
    table = animals(tmp_path, each=2).drop(columns="split")
    table["species"] = ["beluga", None, "fin_whale", ""] * 2
    settings = one_stage(epochs=1)
    folder = tmp_path / "run"
    network = train(table, settings, folder)
    assert json.loads((folder / "classes.json").read_text())["species"] == [
        "beluga",
        "fin_whale",
    ]
    # Unknown labels do not change the loss.
    model = build_training_model(network, Classes.of(table), settings)
    images = np.stack([portrait(n // 2, n % 2) for n in range(8)])

    def loss(chosen) -> float:
        targets = {n: v[chosen] for n, v in Classes.of(table).numbers(table).items()}
        inputs = {n: np.maximum(v, 0) for n, v in targets.items()}
        images_of = {"images": images[chosen], **inputs}
        return model.evaluate(
            images_of, targets, verbose=0, batch_size=8, return_dict=True
        )["species_loss"]

    assert loss(np.arange(8)) == pytest.approx(loss(np.arange(0, 8, 2)), rel=1e-4)


@one_backend
def test_one_species_and_rows_without_one_make_no_head(tmp_path):
    table = animals(tmp_path, each=2).assign(species=["beluga", None] * 4)
    assert Classes.of(table).species == []
    assert set(Classes.of(table).numbers(table)) == {"identity"}


@one_backend
def test_a_run_is_not_replaced_unless_told_so(tmp_path):
    table, settings = animals(tmp_path), one_stage(epochs=1)
    train(table, settings, tmp_path / "run")
    before = (tmp_path / "run" / "model.keras").read_bytes()
    with pytest.raises(ValueError, match="Received: folder="):
        train(table, settings, tmp_path / "run")
    for changes in ({"epochs": 2}, {"seed": 7}):
        [(name, value)] = changes.items()
        message = rf"settings: {name}=[01]\. Received: {name}={value}$"
        with pytest.raises(ValueError, match=message):
            other = one_stage(**{"epochs": 1, **changes})
            train(table, other, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "model.keras").read_bytes() == before
    train(table, one_stage(epochs=2), tmp_path / "run", force=True)
    assert len(losses(tmp_path / "run")) == 6


@one_backend
def test_what_cannot_be_trained_on_is_named(tmp_path):
    table = animals(tmp_path)
    with pytest.raises(ValueError, match="Received: rows=0"):
        train(table.assign(identity="unknown"), one_stage(), tmp_path / "run")
    (tmp_path / "0_0.png").write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"0_0\.png"):
        train(table, one_stage(), tmp_path / "run")
    train(table, one_stage(on_error="skip", epochs=1), tmp_path / "other")


@one_backend
def test_a_tracker_that_is_not_installed_is_named(tmp_path):
    if importlib.util.find_spec("trackio"):
        pytest.skip("trackio is installed")
    with pytest.raises(ValueError, match="pip install trackio"):
        train(animals(tmp_path), one_stage(), tmp_path / "run", log=["trackio"])


@one_backend
def test_the_figures_go_to_a_tracker(tmp_path, monkeypatch):
    calls = []
    tracker = types.ModuleType("trackio")
    tracker.__spec__ = importlib.machinery.ModuleSpec("trackio", None)
    tracker.init = lambda **named: calls.append(("init", named))
    tracker.log = lambda figures, step: calls.append(("log", figures, step))
    tracker.finish = lambda: calls.append(("finish",))
    monkeypatch.setitem(sys.modules, "trackio", tracker)
    table, run = animals(tmp_path), tmp_path / "run"
    train(table, one_stage(minutes=1e-6), run, log=["trackio"])
    named = calls[0][1]
    assert named["config"]["batch_size"] == 4 and named["resume"] == "allow"
    assert {"steps/loss", "steps/learning_rate"} == set(calls[1][1])
    calls.clear()
    # A resumed run keeps its id there; a replaced run gets a new one.
    train(table, one_stage(), run, log=["trackio"], resume=True)
    assert calls[0][1]["name"] == named["name"]
    assert "epochs/map_at_5" in calls[-2][1] and calls[-1] == ("finish",)
    calls.clear()
    train(table, one_stage(minutes=1e-6), run, log=["trackio"], force=True)
    assert calls[0][1]["name"] != named["name"]


def test_the_commands_lead_from_a_table_to_figures(tmp_path):
    animals(tmp_path).drop(columns="bbox").to_csv(tmp_path / "t.csv", index=False)
    paths = [str(tmp_path / name) for name in ("t.csv", "run", "e.npz")]
    flags = ["--stackwise-num-filters", "16,16", "--stackwise-num-blocks", "1,1"]
    (tmp_path / "c.yaml").write_text(
        "image_size: 32\nbackbone: rednet\nstackwise_strides: [1, 2]\n"
        "kernel_size: 3\ngroup_channels: 8\nbatch_size: 4\n"
    )
    flags += ["--config", str(tmp_path / "c.yaml"), "--epochs", "2"]
    for arguments, text in (
        (["train", *paths[:2], *flags], "epoch 2 of 2"),
        (["embed", paths[0], paths[1], paths[2], "--head"], "16 photos"),
        (["evaluate", paths[2]], "MAP@5"),
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        assert text in result.output
    result = CliRunner().invoke(main, ["train", *paths[:2], *flags])
    assert result.exit_code == 1 and "already has a run" in result.output
    result = CliRunner().invoke(main, ["serve", *paths[1:], "--host", "0.0.0.0"])
    assert result.exit_code == 1 and "WHALE_ID_TOKEN" in result.output
