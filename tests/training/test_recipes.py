"""Recipes equal their sources: closed forms, and formulas in NumPy."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from keras_involution.training import (
    RECIPES,
    Augmentation,
    EpochCosine,
    Recipe,
    SGDWithCoupledDecay,
)
from tests.marks import one_backend


def published_rate(step: int) -> float:
    """mmcv's cosine by epochs and linear warm-up, with 626 steps per epoch."""
    regular = 0.4 * (1 + np.cos(np.pi * (step // 626) / 130))
    missing = (1 - min(step, 3130) / 3130) * (1 - 0.25)
    return regular * (1 - missing)


def test_the_published_recipe_has_the_published_rates():
    schedule = RECIPES["rednet_imagenet"].build_schedule(2048, 626)
    steps = (0, 1, 625, 626, 1565, 3129, 3130, 3755, 3756, 40_000, 81_379)
    found = [float(schedule(step)) for step in steps]
    np.testing.assert_allclose(found, [published_rate(s) for s in steps], rtol=2e-4)
    assert found[0] == pytest.approx(0.2)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(schedule)
    )
    assert [float(again(step)) for step in steps] == found


def test_the_published_recipe_decays_everything_through_the_momentum():
    """PyTorch's formula, for a kernel and for a variable named as a bias."""
    optimizer = RECIPES["rednet_imagenet"].build_optimizer(0.1)
    optimizer.coupled_decay = 0.5
    values = [np.array([1.0, -2.0], "float32"), np.array([3.0], "float32")]
    variables = [
        keras.Variable(value, name=name)
        for value, name in zip(values, ("kernel", "bias"))
    ]
    optimizer.build(variables)
    buffers = [np.zeros_like(value) for value in values]
    for step in range(3):
        gradients = [np.full_like(value, 0.25 * (step + 1)) for value in values]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients])
        for i, gradient in enumerate(gradients):
            gradient = gradient + 0.5 * values[i]
            buffers[i] = 0.9 * buffers[i] + gradient
            values[i] = values[i] - 0.1 * (gradient + 0.9 * buffers[i])
    for variable, value in zip(variables, values):
        found = keras.ops.convert_to_numpy(variable)
        np.testing.assert_allclose(found, value, rtol=1e-5)


def test_the_optimizer_comes_back_from_its_config():
    optimizer = SGDWithCoupledDecay(0.1, 0.9, True, coupled_decay=1e-3)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert (again.coupled_decay, again.momentum, again.nesterov) == (1e-3, 0.9, True)
    with pytest.raises(ValueError, match=r"Received: coupled_decay=-1"):
        SGDWithCoupledDecay(coupled_decay=-1)


@pytest.mark.parametrize(
    ("scaling", "expected"), [("linear", 0.4), ("square_root", 0.2), ("constant", 0.1)]
)
def test_the_rate_follows_the_batch_size(scaling, expected):
    recipe = Recipe("sgd", 0.1, 64, 1, scaling=scaling)
    assert recipe.rate(256) == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"Received: batch_size=0"):
        recipe.rate(0)


def test_images_grow_in_the_course_of_a_run():
    recipe = Recipe("sgd", 0.1, 1, 1, sizes=((0.0, 0.5), (0.3, 0.75), (0.9, 1.0)))
    fractions = (0.0, 0.29, 0.3, 0.89, 0.9, 1.0)
    found = [recipe.image_size(fraction, 64) for fraction in fractions]
    assert found == [32, 32, 48, 48, 64, 64]
    # The final size is the requested one, and no size is zero.
    assert recipe.image_size(1.0, 50) == 50
    assert recipe.image_size(0.0, 16) == 16


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_short_run_of_every_recipe_warms_up_in_a_quarter(name):
    schedule = RECIPES[name].build_schedule(256, steps_per_epoch=8, epochs=4)
    rates = np.array([float(schedule(step)) for step in range(33)])
    top = RECIPES[name].rate(256)
    assert rates[0] < 0.6 * top and rates[8] > 0.8 * top
    assert rates.max() <= top * (1 + 1e-6) and rates[32] < 0.01 * top
    assert (np.diff(rates[8:]) <= 0).all()


def test_a_warm_up_as_long_as_the_run_is_refused():
    with pytest.raises(ValueError, match="Received: warm_up_steps=8, steps=8"):
        EpochCosine(0.1, epochs=4, steps_per_epoch=2, warm_up_steps=8)


def test_the_loss_smooths_the_targets():
    recipe = dataclasses.replace(RECIPES["rednet_imagenet"], label_smoothing=0.2)
    logits = np.array([[2.0, 0.0, -1.0, 0.5]], "float32")
    targets = np.array([[0.05, 0.85, 0.05, 0.05]])
    logs = logits - np.log(np.exp(logits).sum())
    found = float(recipe.build_loss()(np.eye(4, dtype="float32")[[1]], logits))
    assert found == pytest.approx(float(-(targets * logs).sum()), rel=1e-5)


def flat_images(count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Image i has the value i everywhere and the class i."""
    images = np.ones((count, 8, 8, 3), "float32")
    images *= np.arange(count, dtype="float32")[:, None, None, None]
    return images, np.eye(count, dtype="float32")


@pytest.mark.parametrize("mixer", ("mix_up", "cut_mix"))
def test_labels_are_mixed_as_images_are(mixer):
    """The mean of a mixed flat image is the mean of its classes."""
    images, labels = flat_images()
    mixed, targets = Augmentation(**{mixer: 1.0}).batch(
        images, labels, np.random.default_rng(3)
    )
    np.testing.assert_allclose(targets.sum(-1), 1, rtol=1e-5)
    assert (targets.max(-1) < 0.95).any(), "nothing was mixed"
    means = targets @ np.arange(6, dtype="float32")
    np.testing.assert_allclose(mixed.mean((1, 2, 3)), means, rtol=1e-5, atol=1e-5)
    flat = (mixed == mixed[:, :1, :1]).all()
    assert flat == (mixer == "mix_up")


def test_a_seed_draws_the_same_changes_again():
    images, labels = flat_images()
    augment = Augmentation(mix_up=0.2, cut_mix=1.0)
    runs = [
        augment.batch(images, labels, np.random.default_rng(seed)) for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    assert not np.array_equal(runs[0][1], runs[2][1])
    flat = [
        (augment.batch(images, labels, np.random.default_rng(s))[0] % 1 == 0).all()
        for s in range(8)
    ]
    assert set(flat) == {True, False}, "cuts leave whole values, sums do not"


@one_backend
def test_rand_augment_changes_images_and_no_labels():
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    labels = np.eye(2, dtype="float32")
    random = np.random.default_rng(0)
    changed, same = Augmentation(rand_augment=0.5).batch(images, labels, random)
    assert np.abs(changed - images).max() > 1
    assert changed.min() >= 0 and changed.max() <= 255
    np.testing.assert_array_equal(same, labels)
    untouched, _ = Augmentation().batch(images, labels, random)
    np.testing.assert_array_equal(untouched, images)


@pytest.mark.parametrize("name", ["rednet_modern", "rednet_imagenet"])
def test_a_short_run_ends_with_averages_that_have_forgotten_the_first_weights(name):
    recipe = dataclasses.replace(RECIPES[name], ema_decay=0.9998)
    for steps in (20, 500, 8_000):
        left = recipe.build_optimizer(0.1, steps).ema_momentum ** steps
        assert left < 2e-3
    assert recipe.build_optimizer(0.1, 10**6).ema_momentum == 0.9998
    assert recipe.build_optimizer(0.1).ema_momentum == 0.9998
