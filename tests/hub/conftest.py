"""What the preset tests share."""

from __future__ import annotations

import shutil

import pytest

from tests.hub import networks


@pytest.fixture(scope="session")
def classifier():
    return networks.tiny_classifier()


@pytest.fixture(scope="session")
def saved(classifier, tmp_path_factory):
    """A preset of `classifier`; tests that change files take `preset`."""
    folder = tmp_path_factory.mktemp("presets") / "tiny"
    classifier.save_to_preset(folder)
    return folder


@pytest.fixture
def preset(saved, tmp_path):
    """A copy of the preset that a test may damage."""
    return shutil.copytree(saved, tmp_path / "tiny")
