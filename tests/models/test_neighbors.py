"""Features known from PyTorch Image Models and from the published code."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution import RedNet26, RedNetBackbone
from tests.hub.networks import assert_same_weights, tiny_backbone
from tests.marks import one_backend


@one_backend
def test_feature_info():
    backbone = RedNetBackbone.from_depth(26, data_format="channels_first")
    info = backbone.feature_info
    assert [entry["num_chs"] for entry in info] == [256, 512, 1024, 2048]
    assert [entry["reduction"] for entry in info] == [4, 8, 16, 32]
    for entry, map in zip(info, backbone.pyramid_outputs.values(), strict=True):
        assert backbone.get_layer(entry["module"]).output is map


@one_backend
def test_forward_intermediates():
    backbone = tiny_backbone()
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(backbone(x))
    final, maps = backbone.forward_intermediates(x)
    # A call joins layers at inference, which changes the rounding.
    for outputs in (final, maps[-1]):
        outputs = keras.ops.convert_to_numpy(outputs)
        np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    assert [map.shape[1] for map in maps] == [8, 4]
    for indices, sides in ((1, [4]), (2, [8, 4]), ([0], [8]), ([-1, 0], [4, 8])):
        found = backbone.forward_intermediates(x, indices, intermediates_only=True)
        assert [map.shape[1] for map in found] == sides
    for indices in (0, 3, [2], [-3], 1.0, True, "P2"):
        with pytest.raises(ValueError, match="Received: indices="):
            backbone.forward_intermediates(x, indices)


@one_backend
def test_published_names_of_the_weights(tmp_path):
    import torch

    model = RedNet26(num_classes=3)
    weights = model.published_state_dict()
    assert weights["backbone.stem.0.conv.weight"].shape == (32, 3, 3, 3)
    assert weights["head.fc.weight"].shape == (3, 2048)
    torch.save({"state_dict": weights}, tmp_path / "model.pth")
    assert_same_weights(RedNet26.from_checkpoint(tmp_path / "model.pth"), model)
    before = float(weights["head.fc.weight"][0, 0])
    model.get_layer("predictions").kernel.assign(np.zeros((2048, 3)))
    assert float(weights["head.fc.weight"][0, 0]) == before  # A copy.
    backbone = model.backbone.published_state_dict()
    assert set(weights) - set(backbone) == {"head.fc.weight", "head.fc.bias"}
