"""RedNet inside keras-hub's detector and segmenter: training, prediction, presets."""

from __future__ import annotations

import numpy as np
import pytest

from tests.hub.networks import assert_same_weights, with_drawn_weights
from tests.integrations.networks import (
    PYRAMID,
    SHORT,
    SIDE,
    assert_trains,
    boxes,
    compiled,
    images,
    masks,
)

pytestmark = pytest.mark.filterwarnings(
    # keras-hub hands torch tensors to NumPy in a way that NumPy 2 calls old.
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
)


def retinanet_backbone(keras_hub, adapter, **arguments):
    return keras_hub.models.RetinaNetBackbone(
        adapter.RedNetBackbone(**PYRAMID),
        **{"min_level": 3, "max_level": 5, "use_p5": False, **arguments},
        image_shape=(SIDE, SIDE, 3),
    )


@pytest.fixture
def detector(keras_hub, adapter):
    return keras_hub.models.RetinaNetObjectDetector(
        retinanet_backbone(keras_hub, adapter),
        num_classes=2,
        bounding_box_format="xyxy",
        pre_logits_num_conv_layers=1,
    )


@pytest.fixture
def segmenter(keras_hub, adapter):
    backbone = keras_hub.models.DeepLabV3Backbone(
        adapter.RedNetBackbone(**SHORT),
        spatial_pyramid_pooling_key="P3",
        low_level_feature_key="P2",
        upsampling_size=2,
        dilation_rates=[1, 2],
        projection_filters=4,
        image_shape=(SIDE, SIDE, 3),
    )
    return keras_hub.models.DeepLabV3ImageSegmenter(
        backbone, num_classes=2, activation="softmax"
    )


def test_retinanet(detector):
    labels = np.array([[0], [1]], "float32")
    targets = {"boxes": boxes(), "labels": labels}
    encoder = detector.backbone.image_encoder
    compiled(detector, optimizer="adam")
    assert_trains(detector, encoder, images(), targets, shuffle=False)
    found = detector.predict(images(), verbose=0)
    assert found["boxes"].shape == (2, 100, 4)
    assert (found["num_detections"] <= 100).all()


def test_deeplab(segmenter):
    compiled(segmenter, optimizer="adam", loss="categorical_crossentropy")
    encoder = segmenter.backbone.image_encoder
    assert_trains(segmenter, encoder, images(), masks(), shuffle=False)
    found = segmenter.predict(images(), verbose=0)
    assert found.shape == (2, SIDE, SIDE, 2)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)


def test_a_preset_with_rednet_inside(keras_hub, adapter, detector, tmp_path):
    with_drawn_weights(detector.backbone).save_to_preset(str(tmp_path))
    again = keras_hub.models.Backbone.from_preset(str(tmp_path))
    assert type(again) is keras_hub.models.RetinaNetBackbone
    assert type(again.image_encoder) is adapter.RedNetBackbone
    assert_same_weights(again, detector.backbone)


def test_levels_that_rednet_has_not(keras_hub, adapter):
    encoder = adapter.RedNetBackbone(**SHORT)
    assert list(encoder.pyramid_outputs) == ["P2", "P3"]
    with pytest.raises(ValueError, match="maximum level"):
        keras_hub.models.RetinaNetBackbone(encoder, 3, 5, use_p5=False)
