"""One training run of a tiny classifier, shared by tests that only read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from keras_involution.training import RECIPES, ClassifierSettings
from keras_involution.training import begin_classifier as begin
from keras_involution.training import resume_classifier as resume
from keras_involution.training.classifier import data, run
from tests.data.folders import write_folder
from tests.training.tiny_network import tiny_network

FAST = dataclasses.replace(
    RECIPES["rednet_few_epochs"], sizes=((0.0, 1.0),), ema_decay=0.5
)


@pytest.fixture(scope="session")
def tiny() -> Iterator[None]:
    """A tiny network, a recipe with one image size and averages, and such images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "build_classifier", tiny_network)
        patch.setitem(RECIPES, "rednet_few_epochs", FAST)
        patch.setattr(data, "side_of", lambda found, image_size: image_size)
        yield


def settings(path: Path, **changes: object) -> ClassifierSettings:
    common = {"data": str(path), "image_size": 16, "epochs": 1, "batch_size": 6}
    return ClassifierSettings(**{**common, **changes})


@pytest.fixture(scope="session")
def trained(tiny, tmp_path_factory):
    """(data, folder, trainer) of two epochs, with one image that cannot be read.

    The learning rate moves the outputs far from those of other views.
    """
    path = tmp_path_factory.mktemp("trained")
    images, folder = write_folder(path / "data"), path / "run"
    (images / "blue" / "004.png").write_bytes(b"broken")
    begin(folder, settings(images, epochs=2, learning_rate=0.1))
    trainer = resume(folder)
    trainer.run()
    return images, folder, trainer
