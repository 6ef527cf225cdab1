"""RandAugment: its operations equal Pillow's, and how they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from examples._demo.photos import load_photos
from keras_involution.training import Augmentation
from keras_involution.training import rand_augment as own
from keras_involution.training.rand_augment import rand_augment
from tests.marks import one_backend

pytestmark = one_backend

HEIGHT, WIDTH = 36, 48
STRENGTHS = (-1.0, -0.6, -0.3, 0.3, 0.5, 1.0)
SHIFT, BILINEAR = 0.45, Image.Resampling.BILINEAR


def photos() -> np.ndarray:
    """uint8 images (5, 36, 48, 3); the fourth has one color, the last five values."""
    images, _ = load_photos("test")
    images = np.ascontiguousarray(images[::70, : 2 * HEIGHT : 2, : 2 * WIDTH : 2])
    few = np.random.default_rng(0).integers(0, 5, images[:1].shape, "uint8")
    return np.concatenate([images, np.full_like(few, 90), few])


def moved(*numbers: float):
    return lambda image: image.transform(
        image.size, Image.Transform.AFFINE, numbers, BILINEAR, fillcolor=(128,) * 3
    )


def enhanced(kind: type):
    return lambda s: lambda image: kind(image).enhance(1 + 0.9 * s)


# Pillow's operation at a strength, and the tolerance in gray levels: Pillow rounds
# means and truncates.
PILLOW = {
    "identity": (lambda s: lambda image: image, 0),
    "auto_contrast": (lambda s: ImageOps.autocontrast, 1),
    "equalize": (lambda s: ImageOps.equalize, 0),
    "rotate": (
        lambda s: lambda i: i.rotate(30 * s, BILINEAR, fillcolor=(128,) * 3), 1
    ),
    "solarize": (lambda s: lambda i: ImageOps.solarize(i, 256 - 256 * abs(s)), 0),
    "color": (enhanced(ImageEnhance.Color), 2),
    "posterize": (lambda s: lambda i: ImageOps.posterize(i, 8 - round(4 * abs(s))), 0),
    "contrast": (enhanced(ImageEnhance.Contrast), 2),
    "brightness": (enhanced(ImageEnhance.Brightness), 1),
    "sharpness": (enhanced(ImageEnhance.Sharpness), 2),
    "shear_x": (lambda s: moved(1, 0.3 * s, 0, 0, 1, 0), 1),
    "shear_y": (lambda s: moved(1, 0, 0, 0.3 * s, 1, 0), 1),
    "translate_x": (lambda s: moved(1, 0, SHIFT * WIDTH * s, 0, 1, 0), 1),
    "translate_y": (lambda s: moved(1, 0, 0, 0, 1, SHIFT * HEIGHT * s), 1),
}  # fmt: skip
SAME_BOTH_WAYS = (
    "identity", "auto_contrast", "equalize", "solarize", "posterize"
)  # fmt: skip


@pytest.mark.parametrize("name", PILLOW)
def test_an_operation_does_what_pillow_does(name):
    """On a batch of images, each with its own strength."""
    statement, near = PILLOW[name]
    images = np.repeat(photos(), len(STRENGTHS), axis=0)
    strengths = np.tile(STRENGTHS, len(photos()))
    found = getattr(own, name)(images.astype("float32"), strengths)
    assert found.dtype == "float32" and found.shape == images.shape
    assert found.min() >= 0 and found.max() <= 255
    for image, strength, one in zip(images, strengths, found, strict=True):
        expected = np.asarray(statement(strength)(Image.fromarray(image)))
        np.testing.assert_allclose(one, expected, rtol=0, atol=near + 1e-3)


def test_they_are_the_published_fourteen():
    assert [operation.__name__ for operation in own.OPERATIONS] == list(PILLOW)
    assert len(PILLOW) == 14


def test_without_strength_nothing_moves_and_nothing_is_blended():
    images = photos().astype("float32")
    zeros = np.zeros(len(images))
    for operation in own.OPERATIONS:
        if operation.__name__ not in ("auto_contrast", "equalize"):
            found = operation(images, zeros)
            np.testing.assert_allclose(found, images, rtol=0, atol=1e-3)


def test_values_between_whole_ones_stay_within_bounds():
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (6, 5, 4, 3)).astype("float32")
    images[0, 0, 0], images[0, 1, 1] = 0, 255
    for operation in own.OPERATIONS:
        for strengths in (np.ones(6), -np.ones(6)):
            found = operation(images, strengths)
            assert np.isfinite(found).all() and found.dtype == "float32"
            assert found.min() >= 0 and found.max() <= 255


def outcomes(image: np.ndarray, strength: float) -> dict[tuple, np.ndarray]:
    """The image after each operation in each direction."""
    return {
        (operation.__name__, sign): operation(image, np.array([sign * strength]))
        for operation in own.OPERATIONS
        for sign in (1.0, -1.0)
    }


def test_every_image_has_an_operation_and_a_direction_of_its_own():
    """Draws 600 times for one image and identifies the operation of each result."""
    random = np.random.default_rng(1)
    image = photos()[:1, :24, :24].astype("float32")
    found = rand_augment(np.repeat(image, 600, axis=0), 0.7, random, count=1)
    known = outcomes(image, 0.7)
    drawn = [
        {key for key, value in known.items() if np.array_equal(value[0], one)}
        for one in found
    ]
    assert all(drawn), "some operation has another strength"
    for name in PILLOW:
        own_draws = [
            keys for keys in drawn if (name, 1.0) in keys or (name, -1) in keys
        ]
        # 43 are expected, with a standard deviation of 6.
        assert 18 < len(own_draws) < 68, name
        if name not in SAME_BOTH_WAYS:
            up = sum((name, 1.0) in keys for keys in own_draws)
            assert 2 < up < len(own_draws) - 2, name


def test_two_operations_follow_each_other():
    image = photos()[:1, :24, :24].astype("float32")
    found = rand_augment(np.repeat(image, 64, axis=0), 0.7, np.random.default_rng(0))
    twice = [
        value
        for once in outcomes(image, 0.7).values()
        for value in outcomes(once, 0.7).values()
    ]
    assert all(any(np.array_equal(value[0], one) for value in twice) for one in found)
    assert len({one.tobytes() for one in found}) > 40


def test_a_seed_draws_the_same_again():
    images = photos().astype("float32")
    labels = np.eye(len(images), dtype="float32")
    augment = Augmentation(rand_augment=0.3)
    one, again, other = (
        augment.batch(images, labels, np.random.default_rng(seed))[0]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_values_out_of_bounds_come_into_them_and_what_is_given_stays():
    images = 3 * photos().astype("float32") - 200
    before = images.copy()
    for seed in range(8):
        found = rand_augment(images, 0.5, np.random.default_rng(seed))
        assert found.min() >= 0 and found.max() <= 255
    np.testing.assert_array_equal(images, before)


def test_what_is_no_image_of_three_channels_is_refused():
    for shape in ((2, 8, 8, 1), (8, 8, 3)):
        with pytest.raises(ValueError, match=r"Received: shape=\("):
            rand_augment(np.zeros(shape), 0.3, np.random.default_rng(0))
