"""The outputs of the networks equal those of the published code."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from keras_involution import RedNet26, RedNet50
from tests import published_weights
from tests.marks import torch_first

GOLDEN = Path(__file__).parents[1] / "golden"
NETWORKS = [
    (26, 3, 96, 11),
    pytest.param(26, 7, 64, 12, marks=torch_first),
    pytest.param(50, 3, 64, 13, marks=torch_first),
]


def relative_error(result: np.ndarray, expected: np.ndarray) -> float:
    assert result.shape == expected.shape
    return float(np.linalg.norm(result - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("depth, stem, side, seed", NETWORKS)
def test_a_checkpoint_gives_the_published_outputs(depth, stem, side, seed, tmp_path):
    golden = np.load(GOLDEN / f"rednet{depth}_stem{stem}_{side}.npz")
    cls = {26: RedNet26, 50: RedNet50}[depth]
    np.savez(tmp_path / "weights.npz", **published_weights.network(depth, stem))
    model = cls.from_preset(tmp_path / "weights.npz")
    assert model.backbone.stem_kernel_size == stem
    x = np.random.default_rng(seed).standard_normal((2, 3, side, side))
    x = np.moveaxis(x.astype("float32"), 1, -1)
    backbone = model.backbone
    everything = [*backbone.pyramid_outputs.values(), model.output]
    *stages, logits = keras.Model(backbone.inputs, everything).predict(x, verbose=0)
    for number, stage in enumerate(stages, start=1):
        stage = np.moveaxis(stage, -1, 1)
        assert stage.shape == tuple(golden[f"stage{number}_shape"])
        mean, corner = stage.mean((2, 3)), stage[:, :8, :3, :3]
        assert relative_error(mean, golden[f"stage{number}_mean"]) < 1e-5
        assert relative_error(corner, golden[f"stage{number}_corner"]) < 1e-5
    assert relative_error(logits, golden["logits"]) < 1e-5
