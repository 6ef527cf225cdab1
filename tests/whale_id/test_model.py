"""The network: sizes, baselines, files, embeddings."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from keras_involution.whale_id.assemble import build_network
from keras_involution.whale_id.model import EmbeddingNetwork, build_backbone
from tests.whale_id.settings import small


def samples(number: int = 3) -> np.ndarray:
    shape = (number, 32, 32, 3)
    return np.random.default_rng(0).integers(0, 256, shape).astype("uint8")


@pytest.mark.parametrize(
    "changes, size",
    (
        ({}, 128),
        ({"levels": 1}, 64),
        ({"cells": 2}, 512),
        ({"embedding_size": 24}, 24),
        ({"spatial_operator": "convolution"}, 128),
    ),
    ids=str,
)
def test_embeddings_have_length_one(changes, size):
    network = build_network(small(**changes))
    features = network.embed(samples(), flip="average")
    assert features.shape == (3, size) and features.dtype == "float32"
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


def test_the_baseline_is_a_vector_of_64():
    # Untrained, its single reduced channel may be dead, so the length is not checked.
    network = build_network(small(backbone="involution_baseline"))
    assert network.embed(samples()).shape == (3, 64)


def test_the_flip_is_the_average_of_both_pictures():
    network, x = build_network(small()), samples()
    plain, mirrored = network.embed(x), network.embed(x[:, :, ::-1])
    np.testing.assert_allclose(network.embed(x, "mirrored"), mirrored, atol=1e-5)
    mean = plain + mirrored
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(network.embed(x, "average"), mean, atol=1e-5)
    assert np.abs(plain - mirrored).max() > 1e-3


def test_pictures_of_any_size_are_stretched():
    network = build_network(small())
    wide = np.zeros((20, 50, 3), "uint8")
    assert network.embed([wide, samples(1)[0]]).shape == (2, 128)


@pytest.mark.parametrize("backbone", ("rednet", "involution_baseline"))
def test_a_saved_network_is_the_same_network(backbone, tmp_path):
    network = build_network(small(backbone=backbone, cells=2, dropout=0.1))
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    assert isinstance(again, EmbeddingNetwork)
    np.testing.assert_array_equal(network.embed(samples()), again.embed(samples()))
    config, other = (json.dumps(n.get_config()) for n in (network, again))
    assert json.loads(config) == json.loads(other)


def test_the_backbone_is_a_preset(tmp_path):
    network = build_network(small())
    network.backbone.save_to_preset(tmp_path / "preset")
    settings = small(
        backbone=str(tmp_path / "preset"),
        **dict.fromkeys(
            ("stackwise_num_filters", "stackwise_num_blocks", "stackwise_strides",
             "kernel_size", "group_channels")
        ),
    )  # fmt: skip
    again = build_network(settings)
    x = np.zeros((1, 32, 32, 3), "float32")
    np.testing.assert_array_equal(
        network.backbone.predict(x, verbose=0), again.backbone.predict(x, verbose=0)
    )


def test_more_levels_than_stages_are_refused():
    with pytest.raises(ValueError, match="Received: levels=3"):
        build_network(small(levels=3))


def test_published_depths_have_their_names():
    backbone = build_backbone("rednet_26", (64, 64, 3), spatial_operator="convolution")
    assert backbone.depth == 26 and backbone.spatial_operator == "convolution"
