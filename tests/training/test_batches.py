"""Batches for training: the contents of an epoch, and positions in it."""

from __future__ import annotations

import numpy as np
import pytest

from keras_involution import RedNetImageConverter
from keras_involution.data import LabeledImages
from keras_involution.training import Augmentation, ImageBatches
from tests.marks import one_backend
from tests.training.conftest import FAST

pytestmark = one_backend


@pytest.fixture(scope="module")
def data() -> LabeledImages:
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), "uint8")
    return LabeledImages(images, np.repeat(np.arange(5), 8))


def batches(data, **changes) -> ImageBatches:
    converter = RedNetImageConverter(data_format="channels_last")
    arguments = {
        "batch_size": 8, "num_classes": 5, "converter": converter, "image_size": 32,
        "augmentation": FAST.build_augmentation(), **changes,
    }  # fmt: skip
    return ImageBatches(data, np.arange(1, 33), **arguments)


def test_an_epoch_has_every_image_once_in_an_order_of_its_own(data):
    made = batches(data)
    epochs = [
        np.concatenate([made.rows_of(s) for s in e]) for e in (range(4), range(4, 8))
    ]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(1, 33))
    assert not np.array_equal(*epochs)
    images, targets = made.batch(5, 32)
    labels = data.labels[made.rows_of(5)]
    np.testing.assert_array_equal(targets.argmax(-1), labels)
    assert abs(images.mean()) < 2 and images.dtype == "float32"


def test_threads_and_positions_change_nothing(data):
    augmentation = Augmentation(FAST.build_augmentation().view, (), 0.5, 0.2, 1.0)
    one, two = (batches(data, augmentation=augmentation, num_threads=n) for n in (1, 3))
    two.seek(0, None)
    for step in range(9):
        expected, found = one.batch(step, 32), two.next_batch(0.0)
        for first, second in zip(expected, found):
            np.testing.assert_array_equal(first, second)
    one.seek(7, None)
    np.testing.assert_array_equal(one.next_batch(0.0)[0], two.batch(7, 32)[0])
    one.close()
    two.close()
