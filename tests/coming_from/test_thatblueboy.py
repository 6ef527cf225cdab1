"""The page on thatblueboy/involution: each option has the documented meaning."""

from __future__ import annotations

import re
import shlex

import numpy as np
import pytest

from keras_involution.cli import main
from keras_involution.training import ClassifierSettings
from tests.coming_from.tables import rows
from tests.marks import one_backend

PAGE = "thatblueboy-involution.md"
ROWS = rows(PAGE)
OPTIONS = {left: cell.strip("`") for left, cell in ROWS.items() if cell[:3] == "`--"}
# The effect of each option on the settings and on the resulting recipe.
MEANING = {
    "data": ("settings", "data", "folder"),
    "depth": ("settings", "depth", "26"),
    "batch-size": ("settings", "batch_size", 96),
    "optimizer": ("recipe", "optimizer", "sgd"),
    "learning-rate": ("recipe", "learning_rate", 0.01),
    "weight-decay": ("recipe", "weight_decay", 0.0),
    "num-workers": ("settings", "num_workers", 4),
    "epochs": ("recipe", "epochs", 25),
    "lr-scheduler": ("recipe", "schedule", "CosineAnnealingLR"),
    "lr-scheduler-kwargs": ("recipe", "schedule_kwargs", {"T_max": 130}),
    "split": ("settings", "split", "data_module.pth"),
    "log": ("settings", "log", ["wandb"]),
}
pytestmark = one_backend


@pytest.fixture(scope="module")
def settings() -> ClassifierSettings:
    """The settings with all options of the table, parsed by the command."""
    words = [word for text in OPTIONS.values() for word in shlex.split(text)]
    command = main.get_command(None, "train")
    context = command.make_context("train", ["--output", "run", *words])
    given = {n: v for n, v in context.params.items() if v is not None}
    names = ClassifierSettings.__dataclass_fields__
    return ClassifierSettings.load(
        None, **{n: v for n, v in given.items() if n in names}
    )


@pytest.mark.parametrize("left", OPTIONS)
def test_option(left, settings):
    name = OPTIONS[left].removeprefix("--").split()[0]
    where, attribute, expected = MEANING[name]
    source = settings if where == "settings" else settings.training_recipe()
    assert getattr(source, attribute) == expected


def test_each_row_has_a_check():
    assert {text.split()[0].removeprefix("--") for text in OPTIONS.values()} == set(
        MEANING
    )
    others = set(ROWS) - set(OPTIONS)
    assert others == {
        '`"num_classes": 200`',
        "`ModelCheckpoint(...)`",
        "`trainer.test(...)`",
    }
    for left in others:
        for command in re.findall("`keras-involution ([a-z]+)", ROWS[left]):
            assert main.get_command(None, command) is not None


def test_there_is_no_option_for_the_number_of_classes():
    assert "num_classes" not in ClassifierSettings.__dataclass_fields__


def test_the_stored_split_is_read(tmp_path):
    from keras_involution.training.stored_splits import read_indices

    path = tmp_path / "data_module.npz"
    np.savez(path, train=[0, 2], val=[1])
    train, held_out = read_indices(path)
    assert (train.tolist(), held_out.tolist()) == ([0, 2], [1])
