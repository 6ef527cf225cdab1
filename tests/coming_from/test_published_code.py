"""The page on the published code: each row, and the weights of one layer."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution import RedNetBackbone, ops
from keras_involution.layers import Involution2D
from keras_involution.models import InvolutionFeaturePyramid
from tests.coming_from.tables import Checks, block, rows
from tests.layers.test_published_values import FILES, relative_error
from tests.marks import one_backend
from tests.published_weights import involution

PAGE = "published-code.md"
CHECKS = Checks()
pytestmark = one_backend


def tiny(**arguments) -> RedNetBackbone:
    return RedNetBackbone(
        stackwise_num_filters=[32, 32],
        stackwise_num_blocks=[1, 1],
        stackwise_strides=[1, 2],
        data_format="channels_last",
        **arguments,
    )


@CHECKS.row("`involution(channels, kernel_size, stride)`")
@CHECKS.row("`group_channels = 16` inside")
def _():
    layers = [i for i in tiny().layers if isinstance(i, Involution2D)]
    for layer in layers:
        channels = layer.reduce.kernel.shape[-2]
        assert layer.groups == channels // 16
    assert any(layer.strides == (2, 2) for layer in layers)


@CHECKS.row("`reduction_ratio = 4` inside")
@CHECKS.row('`ConvModule(..., norm_cfg=dict(type="BN"))`')
def _():
    import torch

    layer, theirs = Involution2D(), torch.nn.BatchNorm2d(4)
    assert layer.reduction_ratio == 4
    assert (1 - layer.momentum, layer.epsilon) == (
        pytest.approx(theirs.momentum),
        theirs.eps,
    )


@CHECKS.row("input (B, C, H, W)")
def _():
    layer = Involution2D(3, data_format="channels_first")
    assert tuple(layer(np.ones((1, 4, 6, 8), "float32")).shape) == (1, 4, 6, 8)
    assert keras.config.image_data_format() == "channels_last"


@CHECKS.row("`involution_cuda` or `involution_naive`")
def _():
    for name in (None, *ops.available_implementations()):
        assert Involution2D(implementation=name).implementation == name


@CHECKS.row("`RedNet(depth=50)`")
def _():
    backbone = RedNetBackbone.from_depth(50)
    assert list(backbone.get_config()["stackwise_num_blocks"]) == [3, 4, 6, 3]
    assert list(backbone.pyramid_outputs) == ["P2", "P3", "P4", "P5"]


@CHECKS.row("`out_indices=(0, 1, 2, 3)`")
@CHECKS.row("`FPN_involution`")
def _():
    backbone = tiny(image_shape=(32, 32, 3))
    maps = backbone.pyramid_outputs
    assert list(maps) == ["P2", "P3"]
    neck = InvolutionFeaturePyramid(2, 3, num_filters=32, data_format="channels_last")
    assert {n: m.shape[-1] for n, m in neck(maps).items()} == {"P2": 32, "P3": 32}


@CHECKS.row("`model.state_dict()`")
def _():
    weights = tiny().published_state_dict()
    assert weights["backbone.stem.0.conv.weight"].ndim == 4


@CHECKS.row("`frozen_stages=1`")
def _():
    backbone = tiny()
    backbone.freeze_stages(1)
    frozen = [layer.name for layer in backbone.layers if not layer.trainable]
    assert any(name.startswith("stack0") for name in frozen)
    assert not any(name.startswith("stack1") for name in frozen)


@CHECKS.row("`RedNet` of the detectors, stem with a 7 x 7 involution")
def _():
    layers = [i for i in tiny(stem_kernel_size=7).layers if isinstance(i, Involution2D)]
    assert layers[0].kernel_size == (7, 7)


@CHECKS.row("`rednet50-1c7a7c5d.pth`")
@CHECKS.row("`RedNet50_pretrained.pdparams`")
def _():
    """The readers accept both suffixes; tests/hub loads whole networks."""
    from keras_involution.hub.checkpoints.read import _READERS

    assert {".pth", ".pdparams"} <= set(_READERS)


def test_each_row_has_a_check():
    assert set(rows(PAGE)) == set(CHECKS)


@pytest.mark.parametrize("left", CHECKS)
def test_row(left):
    CHECKS[left]()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_converted_layer_gives_the_published_outputs(path):
    channels, kernel_size, strides = (int(p[1:]) for p in path.stem.split("_")[1:])
    golden = np.load(path)
    arrays = {f"net.{n}": a for n, a in involution(channels, kernel_size).items()}
    layer = Involution2D(
        kernel_size,
        groups=channels // 16,
        strides=strides,
        data_format="channels_first",
    )
    layer.build(golden["x"].shape)
    block(PAGE)["convert_published_layer"](arrays, "net.", layer)
    assert relative_error(layer(golden["x"]), golden["y"]) < 1e-5
