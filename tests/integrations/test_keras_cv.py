"""RedNet as a backbone of keras-cv models. keras-hub supersedes keras-cv.

keras-cv needs only `pyramid_level_inputs`; the package does not import it.
"""

from __future__ import annotations

import importlib.util

import keras
import numpy as np
import pytest

from keras_involution import RedNetBackbone
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
    # Warnings of keras-cv: torch tensors passed to NumPy as before NumPy 2, a tensor
    # instead of a dictionary with one entry.
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
    "ignore:The structure of `inputs` doesn't match:UserWarning",
)
LABELS = np.array([0, 1])


@pytest.fixture(scope="module")
def keras_cv():
    return pytest.importorskip("keras_cv", reason="keras-cv is an extra")


@pytest.fixture
def backbone():
    return RedNetBackbone(**PYRAMID, image_shape=(SIDE, SIDE, 3))


def test_classifier(keras_cv):
    backbone = RedNetBackbone(**SHORT, image_shape=(SIDE, SIDE, 3))
    model = keras_cv.models.ImageClassifier(backbone, num_classes=2)
    compiled(model, optimizer="adam", loss="sparse_categorical_crossentropy")
    assert_trains(model, backbone, images(), LABELS)


@pytest.fixture
def detector(keras_cv, backbone):
    return keras_cv.models.RetinaNet(
        backbone, num_classes=2, bounding_box_format="xyxy"
    )


def test_retinanet(keras_cv, detector, backbone):
    compiled(
        detector,
        classification_loss="focal",
        box_loss="smoothl1",
        optimizer=keras.optimizers.Adam(clipnorm=10.0),
    )
    targets = {"boxes": boxes(), "classes": LABELS[:, None].astype("float32")}
    assert_trains(detector, backbone, images(), targets)


@pytest.mark.skipif(
    keras.config.backend() != "torch", reason="about PyTorch; the others predict"
)
def test_retinanet_needs_torchvision_to_predict_with_torch(detector):
    """Its non-maximum suppression is torchvision's; training does not need it."""
    if importlib.util.find_spec("torchvision"):
        assert detector.predict(images(), verbose=0)["boxes"].shape == (2, 100, 4)
        return
    with pytest.raises(ModuleNotFoundError, match="torchvision"):
        detector.predict(images(), verbose=0)


def test_deeplab(keras_cv, backbone):
    model = keras_cv.models.DeepLabV3Plus(backbone, num_classes=2)
    compiled(model, optimizer="adam", loss="categorical_crossentropy")
    assert_trains(model, backbone, images(), masks())
    assert model.output_shape == (None, SIDE, SIDE, 2)
