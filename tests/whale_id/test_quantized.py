"""Quantized networks of embeddings: they load as they were saved."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from keras_involution.whale_id.model import EmbeddingNetwork, VectorNetwork
from tests.hub.networks import raw_images, tiny_backbone, with_drawn_weights
from tests.marks import one_backend

pytestmark = pytest.mark.filterwarnings(
    "ignore:Layer .* does not have a `quantize` method"
)
MODES = ("int8", "int4", "float8")


def embedding_network() -> EmbeddingNetwork:
    backbone = tiny_backbone(image_shape=(32, 32, 3))
    return with_drawn_weights(EmbeddingNetwork(backbone, embedding_size=8))


def vector_network() -> VectorNetwork:
    return with_drawn_weights(VectorNetwork(16, 8, hidden_size=8))


def outputs(network) -> np.ndarray:
    """Not of length one: with positive weights, all embeddings are much alike."""
    if isinstance(network, VectorNetwork):
        x = np.random.default_rng(0).standard_normal((3, 16)).astype("float32")
    else:
        x = network.preprocessor(raw_images())
    values = keras.ops.stop_gradient(network(x, training=False))
    return keras.ops.convert_to_numpy(values)


@pytest.mark.parametrize("build", (embedding_network, vector_network))
@pytest.mark.parametrize("mode", MODES)
def test_it_loads_as_it_was_saved(build, mode, tmp_path):
    network = build()
    before = outputs(network)
    network.quantize(mode)
    expected = outputs(network)
    assert np.abs(expected - before).max() > 0
    # Twice, since what was loaded is saved again.
    for turn in ("first", "second"):
        network.save(tmp_path / f"{turn}.keras")
        network.save_weights(tmp_path / f"{turn}.weights.h5")
        again = type(network).from_config(network.get_config())
        again.load_weights(tmp_path / f"{turn}.weights.h5")
        np.testing.assert_array_equal(outputs(again), expected)
        network = keras.saving.load_model(tmp_path / f"{turn}.keras")
        np.testing.assert_array_equal(outputs(network), expected)
        dense = [la for la in network.layers if isinstance(la, keras.layers.Dense)]
        assert {la.quantization_mode for la in dense} == {mode}


@pytest.mark.parametrize("mode", MODES)
def test_presets(mode, tmp_path):
    network = embedding_network()
    network.quantize(mode)
    for turn in ("first", "second"):
        network.save_to_preset(tmp_path / turn)
        again = EmbeddingNetwork.from_preset(tmp_path / turn)
        np.testing.assert_array_equal(outputs(again), outputs(network))
        network = again
    assert network.get_layer("neck_dense").quantization_mode == mode


@one_backend
def test_policies_of_a_stranger(tmp_path):
    network = embedding_network()
    network.quantize("int8")
    network.save_to_preset(tmp_path / "p")
    file = tmp_path / "p" / "embedding.json"
    data = json.loads(file.read_text())
    policies = data["dense_dtype"]["config"]["policy_map"]
    for value in (
        "float99",
        {"class_name": "DTypePolicyMap", "config": {"default_policy": "float32"}},
        data["dense_dtype"] | {"config": {"policy_map": {"(a+)+b": policies}}},
    ):
        file.write_text(json.dumps(data | {"dense_dtype": value}))
        with pytest.raises(ValueError, match=r"`dense_dtype` must be.*Received: "):
            EmbeddingNetwork.from_preset(tmp_path / "p")
    # A preset from before the policy was stored.
    embedding_network().save_to_preset(tmp_path / "q")
    file = tmp_path / "q" / "embedding.json"
    data = json.loads(file.read_text())
    del data["dense_dtype"]
    file.write_text(json.dumps(data))
    again = EmbeddingNetwork.from_preset(tmp_path / "q")
    np.testing.assert_array_equal(outputs(again), outputs(embedding_network()))
