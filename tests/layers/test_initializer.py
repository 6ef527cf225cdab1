"""The published initialization: its spread, its seeds, its configuration."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution.layers._initializer import PublishedInitializer

SHAPE = (3, 3, 40, 64)


def drawn(initializer, shape=SHAPE, dtype="float32") -> np.ndarray:
    return keras.ops.convert_to_numpy(
        keras.ops.cast(initializer(shape, dtype=dtype), "float32")
    )


def test_spread_is_that_of_kaiming_over_the_outputs():
    values = drawn(PublishedInitializer(seed=0))
    deviation = np.sqrt(2 / (9 * 64))
    assert abs(values.std() / deviation - 1) < 0.02
    assert abs(values.mean()) < 0.05 * deviation
    # A truncated normal would end at two deviations.
    assert np.abs(values).max() > 3.5 * deviation


@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
def test_dtypes(dtype):
    tensor = PublishedInitializer(seed=0)((1, 1, 4, 2), dtype=dtype)
    assert keras.backend.standardize_dtype(tensor.dtype) == dtype


def test_seeds():
    assert np.array_equal(*(drawn(PublishedInitializer(seed=3)) for _ in range(2)))
    keras.utils.set_random_seed(5)
    one, other = drawn(PublishedInitializer()), drawn(PublishedInitializer())
    assert not np.array_equal(one, other)
    keras.utils.set_random_seed(5)
    assert np.array_equal(one, drawn(PublishedInitializer()))
    generator = PublishedInitializer(seed=keras.random.SeedGenerator(1))
    assert not np.array_equal(drawn(generator), drawn(generator))


def test_configuration_round_trip():
    saved = keras.saving.serialize_keras_object(PublishedInitializer(seed=3))
    again = keras.saving.deserialize_keras_object(saved)
    assert type(again) is PublishedInitializer
    assert np.array_equal(drawn(again), drawn(PublishedInitializer(seed=3)))
