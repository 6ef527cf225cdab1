"""Values and gradients of the layer equal those of the published module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from keras import ops

from keras_involution.layers import Involution2D
from tests import published_weights
from tests.gradients import layer_gradients

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("involution_*.npz"))


def relative_error(result, expected: np.ndarray) -> float:
    result = ops.convert_to_numpy(result)
    assert result.shape == expected.shape
    return float(np.linalg.norm(result - expected) / np.linalg.norm(expected))


def published_layer(path: Path, data_format: str) -> tuple[Involution2D, dict]:
    channels, kernel_size, strides = (int(p[1:]) for p in path.stem.split("_")[1:])
    layer = Involution2D(
        kernel_size,
        groups=channels // 16,
        strides=strides,
        data_format=data_format,
    )
    golden = dict(np.load(path))
    for name in ("x", "y", "dx", "upstream"):
        if data_format == "channels_last":
            golden[name] = np.moveaxis(golden[name], 1, -1)
    layer.build(golden["x"].shape)
    arrays = published_weights.involution(channels, kernel_size)
    published_weights.set_involution(layer, arrays)
    return layer, golden


def published_names(layer: Involution2D) -> dict[str, object]:
    """Name of each trainable published array -> our variable."""
    return {
        "conv1.conv.weight": layer.reduce.kernel,
        "conv1.bn.weight": layer.reduce_norm.gamma,
        "conv1.bn.bias": layer.reduce_norm.beta,
        "conv2.conv.weight": layer.span.kernel,
        "conv2.conv.bias": layer.span.bias,
    }


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_values_and_gradients_are_the_published_ones(path, data_format):
    layer, golden = published_layer(path, data_format)
    names = published_names(layer)
    y, dx, gradients = layer_gradients(
        layer, golden["x"], golden["upstream"], list(names.values())
    )
    assert relative_error(y, golden["y"]) < 1e-5
    assert relative_error(dx, golden["dx"]) < 1e-5
    for name, gradient in zip(names, gradients):
        expected = golden[f"grad:{name}"]
        if expected.ndim == 4:
            expected = expected.transpose(2, 3, 1, 0)
        assert relative_error(gradient, expected) < 1e-5, name


def test_the_golden_files_are_all_here():
    assert len(FILES) == 4
