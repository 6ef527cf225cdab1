"""Embedding networks as presets: in folders, on the Hub, and damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import keras_involution.cli
from keras_involution import RedNetBackbone
from keras_involution.whale_id.model import EmbeddingNetwork, build_backbone
from keras_involution.whale_id.runs import load_run
from tests.hub.conftest import environment, hub  # noqa: F401
from tests.hub.networks import assert_same_weights, tiny_backbone, with_drawn_weights
from tests.marks import old_content


@pytest.fixture
def network() -> EmbeddingNetwork:
    backbone = tiny_backbone(image_shape=(32, 32, 3))
    return with_drawn_weights(
        EmbeddingNetwork(backbone, cells=2, p=2.5, embedding_size=5, name="seals")
    )


def samples() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 40, 36, 3), "uint8")


def assert_same_network(loaded, network) -> None:
    assert_same_weights(loaded, network)
    assert (loaded.name, loaded.cells, loaded.p) == ("seals", (2, 2), 2.5)
    np.testing.assert_array_equal(loaded.embed(samples()), network.embed(samples()))


def test_there_and_back(network, tmp_path):
    network.save_to_preset(tmp_path / "seals")
    assert_same_network(EmbeddingNetwork.from_preset(tmp_path / "seals"), network)
    backbone = RedNetBackbone.from_preset(tmp_path / "seals")
    assert_same_weights(backbone, network.backbone)


@old_content
def test_pushed_and_pulled(network, hub):  # noqa: F811
    network.push_to_hub("owner/seals", license="mit", max_shard_size=1e-4)
    loaded = EmbeddingNetwork.from_preset("hf://owner/seals")
    assert_same_network(loaded, network)
    files = hub.repositories["owner/seals"].head("main").files
    card = files["README.md"].data.decode()
    assert "license: mit" in card
    assert 'EmbeddingNetwork.from_preset("hf://owner/seals")' in card
    assert "model_00000.weights.h5" in files


@old_content
def test_pushed_from_a_shell(network, hub, tmp_path):  # noqa: F811
    network.save_to_preset(tmp_path / "seals")
    arguments = ["push", str(tmp_path / "seals"), "owner/seals"]
    result = CliRunner().invoke(keras_involution.cli.main, arguments)
    assert result.exit_code == 0, result.output
    assert_same_network(EmbeddingNetwork.from_preset("hf://owner/seals"), network)
    card = hub.repositories["owner/seals"].head("main").files["README.md"].data.decode()
    assert 'EmbeddingNetwork.from_preset("hf://owner/seals")' in card
    (tmp_path / "seals" / "embedding.weights.h5").write_bytes(b"")
    result = CliRunner().invoke(keras_involution.cli.main, [*arguments[:2], "owner/b"])
    assert result.exit_code == 1 and "embedding.weights.h5" in result.output
    assert "owner/b" not in hub.repositories


def test_without_weights_they_are_random(network, tmp_path):
    network.save_to_preset(tmp_path / "seals")
    random = EmbeddingNetwork.from_preset(tmp_path / "seals", load_weights=False)
    assert random.output_shape == network.output_shape
    assert not np.array_equal(random.get_weights()[0], network.get_weights()[0])


@pytest.mark.parametrize(
    "change",
    [
        {"levels": 0},
        {"levels": 3},
        {"cells": [10**9, 1]},
        {"cells": 2},
        {"embedding_size": 10**9},
        {"embedding_size": True},
        {"p": float("nan")},
        {"dropout": 1.0},
        {"name": "a/b"},
        {"name": ["a"]},
        {"something": 1},
    ],
    ids=str,
)
def test_values_of_a_stranger(network, tmp_path, change):
    network.save_to_preset(tmp_path / "seals")
    file = tmp_path / "seals" / "embedding.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match=r"embedding\.json.*Received: "):
        EmbeddingNetwork.from_preset(tmp_path / "seals")


@pytest.mark.parametrize("file", ["embedding.weights.h5", "model.weights.h5"])
def test_damaged_weights(network, tmp_path, file):
    network.save_to_preset(tmp_path / "seals")
    path = tmp_path / "seals" / file
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match=f"{file}.*Received: "):
        EmbeddingNetwork.from_preset(tmp_path / "seals")


def test_a_preset_of_a_backbone_gives_its_features(tmp_path):
    backbone = with_drawn_weights(tiny_backbone(image_shape=(32, 32, 3)))
    backbone.save_to_preset(tmp_path / "tiny")
    network = load_run(tmp_path / "tiny").network
    assert_same_weights(network.backbone, backbone)
    assert network.image_size == (32, 32)


def test_a_preset_of_another_kind(tmp_path):
    tiny_backbone().save_to_preset(tmp_path / "tiny")
    with pytest.raises(ValueError, match=r"no embedding network.*Received: preset="):
        EmbeddingNetwork.from_preset(tmp_path / "tiny")


def test_another_backbone_is_refused_before_anything_is_written(tmp_path):
    baseline = EmbeddingNetwork(build_backbone("involution_baseline", (32, 32, 3)))
    with pytest.raises(ValueError, match=r"must be a `RedNetBackbone`.*Received: "):
        baseline.save_to_preset(tmp_path / "baseline")
    assert not (tmp_path / "baseline").exists()
