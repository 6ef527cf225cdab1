"""The real published weights, downloaded from the publisher.

    pytest -m real_weights tests/hub/test_real_weights.py

downloads RedNet-26 (37 MB, up to half an hour) and classifies the photos of the demo.
With wrong channels, classes or taps, the right group would not be in the top five.
"""

from __future__ import annotations

import os
import urllib.request

import keras
import numpy as np
import pytest

from examples._demo.photos import CLASS_NAMES, load_photos
from keras_involution import RedNetImageClassifier
from keras_involution.hub._builtin import published_weights

pytestmark = pytest.mark.real_weights
NAME = os.environ.get("KERAS_INVOLUTION_REAL_WEIGHTS", "rednet_26_imagenet")
GROUPS = {
    "airplane": {404, 895},  # airliner, warplane
    "grand_piano": {579, 881},  # grand, upright
    "hawksbill": {33, 34, 35, 36, 37},  # turtles
    "leopard": {288, 289, 290},
    "motorbike": {665, 670},  # moped, motor scooter
    "starfish": {327},
    "watch": {409, 530, 531, 826, 892, 635},  # clocks and watches
}


@pytest.fixture(scope="module")
def model(request):
    if "real_weights" not in request.config.option.markexpr:
        pytest.skip("a long download; run it with `-m real_weights`")
    published = published_weights(NAME)
    try:
        urllib.request.urlopen(published.at(None), timeout=20).close()
    except OSError as error:
        pytest.skip(f"the publisher cannot be reached: {error}")
    return RedNetImageClassifier.from_preset(NAME)


def test_the_groups_are_known():
    known = {name.lower().replace(" ", "_") for name in CLASS_NAMES}
    assert len(known & set(GROUPS)) >= 3, "the test would look at too few classes"


def test_the_right_group_is_in_the_first_five(model):
    images, labels = load_photos("test")
    checked = 0
    for number, class_name in enumerate(CLASS_NAMES):
        group = GROUPS.get(class_name.lower().replace(" ", "_"))
        if group is None:
            continue
        prepared = keras.ops.convert_to_numpy(
            model.preprocessor(images[labels == number])
        )
        network = keras.Model(model.inputs, model.outputs)
        best = network.predict(prepared, verbose=0).argsort(-1)[:, -5:]
        right = np.isin(best, list(group)).any(-1)
        assert right.mean() >= 0.6, (class_name, right)
        checked += len(right)
    assert checked >= 30
