"""keras-hub's RetinaNet with the involution neck: training, prediction, presets."""

from __future__ import annotations

import numpy as np
import pytest

from keras_involution.models import InvolutionFeaturePyramid
from tests.hub.networks import assert_same_weights, with_drawn_weights
from tests.integrations.networks import (
    PYRAMID,
    SIDE,
    assert_trains,
    boxes,
    compiled,
    images,
)

pytestmark = pytest.mark.filterwarnings(
    # keras-hub hands torch tensors to NumPy in a way that NumPy 2 calls old.
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
    # It compiles every task, and Keras says that no optimizer came with the weights.
    "ignore:Skipping variable loading for optimizer",
)


@pytest.fixture
def detector(adapter):
    backbone = adapter.InvolutionRetinaNetBackbone(
        adapter.RedNetBackbone(**PYRAMID),
        min_level=3,
        max_level=6,
        kernel_size=3,
        image_shape=(SIDE, SIDE, 3),
    )
    return adapter.InvolutionRetinaNetObjectDetector(
        backbone,
        num_classes=2,
        bounding_box_format="xyxy",
        pre_logits_num_conv_layers=1,
    )


def test_it_trains_and_predicts(detector):
    backbone = detector.backbone
    assert type(backbone.feature_pyramid) is InvolutionFeaturePyramid
    sides = {level: x.shape[1] for level, x in backbone.pyramid_outputs.items()}
    assert sides == {f"P{n}": SIDE // 2**n for n in (3, 4, 5, 6)}
    labels = np.array([[0], [1]], "float32")
    targets = {"boxes": boxes(), "labels": labels}
    before = backbone.feature_pyramid.operators["P4"].span.get_weights()[0]
    compiled(detector, optimizer="adam")
    assert_trains(detector, backbone.image_encoder, images(), targets, shuffle=False)
    after = backbone.feature_pyramid.operators["P4"].span.get_weights()[0]
    assert np.abs(after - before).max() > 0
    found = detector.predict(images(), verbose=0)
    assert found["boxes"].shape == (2, 100, 4)


def test_a_preset(keras_hub, adapter, detector, tmp_path):
    with_drawn_weights(detector).save_to_preset(str(tmp_path))
    for cls in (
        keras_hub.models.ObjectDetector,
        adapter.InvolutionRetinaNetObjectDetector,
    ):
        again = cls.from_preset(str(tmp_path))
        assert type(again) is adapter.InvolutionRetinaNetObjectDetector
        assert_same_weights(again, detector)
    backbone = keras_hub.models.Backbone.from_preset(str(tmp_path))
    assert type(backbone) is adapter.InvolutionRetinaNetBackbone
    assert backbone.get_config() == detector.backbone.get_config()


def test_levels_that_are_not_there(adapter):
    encoder = adapter.RedNetBackbone(**PYRAMID)
    with pytest.raises(ValueError, match=r"from `min_level` on.*Received: min_level=6"):
        adapter.InvolutionRetinaNetBackbone(encoder, min_level=6)
