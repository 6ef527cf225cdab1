"""keras-hub's own checks of layers, backbones and tasks, run on our classes."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution import RedNetImageClassifier, RedNetImageConverter
from keras_involution.layers import Involution2D
from tests.integrations.networks import PYRAMID, SHORT, SIDE, images
from tests.marks import one_backend

for library in ("keras_hub", "tensorflow", "grain"):
    pytest.importorskip(library, reason="keras-hub's checks need it, an extra")
test_case = pytest.importorskip("keras_hub.src.tests.test_case")

pytestmark = pytest.mark.filterwarnings(
    # Warnings of the checks: torch tensors passed to NumPy as before NumPy 2, a tensor
    # for a list of one, a task saved without being compiled, old arguments.
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
    r"ignore:The structure of `inputs` doesn't match:UserWarning",
    r"ignore:`compile\(\)` was not called as part of model loading:UserWarning",
    "ignore:`shuffle=True` was passed, but will be ignored:UserWarning",
    "ignore:The `check_types` argument is deprecated:DeprecationWarning",
)
CONVERTER = {"image_size": (32, 32), "data_format": "channels_last"}


@pytest.fixture
def checks():
    return test_case.TestCase()


def raw_images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 40, 48, 3)).astype("float32")


def test_backbone(checks, adapter):
    checks.run_vision_backbone_test(
        cls=adapter.RedNetBackbone,
        init_kwargs={**SHORT, "image_shape": (SIDE, SIDE, 3)},
        input_data=keras.ops.convert_to_tensor(images()),
        expected_output_shape=(2, 8, 8, 16),
        expected_pyramid_output_keys=["P2", "P3"],
        expected_pyramid_image_sizes=[(16, 16), (8, 8)],
    )


def test_backbone_in_a_file(checks, adapter):
    arguments = {**SHORT, "image_shape": (SIDE, SIDE, 3)}
    checks.run_model_saving_test(adapter.RedNetBackbone, arguments, images())


def test_our_classifier_in_a_file(checks, adapter):
    backbone = adapter.RedNetBackbone(**SHORT, data_format="channels_last")
    arguments = {"backbone": backbone, "num_classes": 3}
    checks.run_model_saving_test(RedNetImageClassifier, arguments, images())


@one_backend
def test_task(checks, adapter, keras_hub):
    converter = keras_hub.layers.ImageConverter(**CONVERTER)
    checks.run_task_test(
        cls=keras_hub.models.ImageClassifier,
        init_kwargs={
            "backbone": adapter.RedNetBackbone(**PYRAMID, data_format="channels_last"),
            "num_classes": 3,
            "preprocessor": keras_hub.models.ImageClassifierPreprocessor(converter),
        },
        train_data=(raw_images(), np.array([0, 2])),
        expected_output_shape=(2, 3),
    )


def test_preprocessing_of_our_preset(checks, adapter, keras_hub, saved):
    converter = keras_hub.layers.ImageConverter.from_preset(str(saved))
    checks.run_preprocessing_layer_test(
        keras_hub.models.ImageClassifierPreprocessor,
        {"image_converter": converter},
        (raw_images(), np.array([0, 2])),
    )


def test_converter(checks):
    # The check of preprocessing layers is left out: it expects NumPy arrays in grain,
    # where layers of Keras, and ours, return tensors of the backend.
    checks.run_serialization_test(RedNetImageConverter(**CONVERTER))


def test_layer(checks):
    checks.run_layer_test(
        cls=Involution2D,
        init_kwargs={"kernel_size": 3, "groups": 2, "data_format": "channels_last"},
        input_data=images()[:, :8, :8].repeat(2, -1)[..., :4],
        expected_output_shape=(2, 8, 8, 4),
        expected_num_trainable_weights=5,
        expected_num_non_trainable_weights=2,
        expected_num_non_trainable_variables=2,
    )
