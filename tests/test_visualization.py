"""Heat maps of kernels, and their colors over images."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution import RedNet26, RedNetBackbone, visualization
from keras_involution.layers import Involution2D
from keras_involution.visualization.overlay import COLORS

STAGES = [
    "stack0_block0_2_involution",
    "stack1_block1_2_involution",
    "stack2_block3_2_involution",
    "stack3_block0_2_involution",
]


def image_shape(data_format: str, height: int = 8, width: int = 12, channels: int = 3):
    size = (height, width)
    return (channels, *size) if data_format == "channels_first" else (*size, channels)


def small_backbone(data_format: str, **kwargs) -> RedNetBackbone:
    """A narrow backbone with small windows, which compiles in seconds.

    The seed is fixed, since a single channel generates the kernels of the stem and may
    be zero everywhere.
    """
    keras.utils.set_random_seed(0)
    settings = {
        "stackwise_num_filters": (8, 16),
        "stackwise_num_blocks": (1, 2),
        "stackwise_strides": (1, 2),
        "kernel_size": 3,
        "group_channels": 2,
        "image_shape": image_shape(data_format, 32, 48),
        "data_format": data_format,
    }
    return RedNetBackbone(**(settings | kwargs))


def known_model(data_format: str, dtype=None) -> tuple[keras.Model, Involution2D]:
    """A model of two groups, which sum to 9 * 2 * x and 9 * -1 * x for x >= 0."""
    inputs = keras.Input(image_shape(data_format, channels=2))
    layer = Involution2D(
        3,
        groups=2,
        reduction_ratio=2,
        epsilon=0.0,
        data_format=data_format,
        dtype=dtype,
        name="known",
    )
    model = keras.Model(inputs, layer(inputs))
    layer.reduce.set_weights([np.array([1.0, 0.0]).reshape(1, 1, 2, 1)])
    taps = np.repeat([2.0, -1.0], 9)
    layer.span.set_weights([taps.reshape(1, 1, 1, 18), np.zeros(18)])
    return model, layer


def random_images(shape: tuple, number: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (number, *shape)).astype("float32")


def channel(images: np.ndarray, index: int, data_format: str) -> np.ndarray:
    return images[:, index] if data_format == "channels_first" else images[..., index]


def test_known_weights_give_the_known_map(data_format):
    model, _ = known_model(data_format)
    images = random_images(image_shape(data_format, channels=2))
    x = channel(images, 0, data_format)
    maps = visualization.kernel_heatmaps(model, images)
    np.testing.assert_allclose(maps["known"], np.stack([18 * x, -9 * x], 1), rtol=1e-5)
    mean = visualization.kernel_heatmaps(model, images, aggregate="mean")
    np.testing.assert_allclose(mean["known"], 4.5 * x, rtol=1e-4)


def test_maps_are_the_sums_of_the_returned_kernels(data_format):
    backbone = small_backbone(data_format)
    images = random_images(image_shape(data_format, 32, 48))
    names = ["stem_2_involution", "stack1_block0_2_involution"]
    maps = visualization.kernel_heatmaps(backbone, images, names, resize=False)
    assert list(maps) == names
    for name in names:
        layer = backbone.get_layer(name)
        features = keras.Model(backbone.input, layer.input)(images)
        _, kernels = layer(features, return_kernels=True)
        kernels = keras.ops.convert_to_numpy(keras.ops.stop_gradient(kernels))
        first = data_format == "channels_first"
        expected = kernels.sum(axis=(2, 3) if first else (4, 5))
        expected = expected if first else np.moveaxis(expected, -1, 1)
        np.testing.assert_allclose(maps[name], expected, rtol=1e-4, atol=1e-5)
        assert np.ptp(expected) > 1e-2


def test_default_layers_shapes_and_an_unchanged_model():
    backbone = small_backbone(
        "channels_last",
        stackwise_num_filters=(4, 4, 8, 8),
        stackwise_num_blocks=(1, 2, 4, 1),
        stackwise_strides=(1, 2, 2, 2),
    )
    model = RedNet26(num_classes=3, backbone=backbone)
    images = random_images((32, 48, 3), 2)
    before = [keras.ops.convert_to_numpy(w) for w in model.weights]
    maps = visualization.kernel_heatmaps(model, images)
    groups = {name: model.backbone.get_layer(name).groups for name in STAGES}
    assert {n: m.shape for n, m in maps.items()} == {
        name: (2, groups[name], 32, 48) for name in STAGES
    }
    assert all(m.dtype == "float32" for m in maps.values())
    for old, new in zip(before, model.weights):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(new))


def test_the_batch_size_does_not_matter():
    model, _ = known_model("channels_last")
    images = random_images(image_shape("channels_last", channels=2), 5)
    whole = visualization.kernel_heatmaps(model, images)
    parts = visualization.kernel_heatmaps(model, images, batch_size=2)
    assert whole["known"].shape == (5, 2, 8, 12)
    for name in whole:
        np.testing.assert_allclose(whole[name], parts[name], rtol=1e-4, atol=1e-5)


def test_half_precision_kernels_are_summed_in_float32():
    model, _ = known_model("channels_last", dtype="mixed_bfloat16")
    # int8 can represent the kernels, but not their sums.
    images = (
        np.round(random_images(image_shape("channels_last", channels=2)) * 128) / 128
    )
    maps = visualization.kernel_heatmaps(model, images)["known"]
    assert maps.dtype == "float32"
    x = images[..., 0]
    np.testing.assert_allclose(maps, np.stack([18 * x, -9 * x], 1), rtol=1e-6)


def test_resized_maps_keep_constants_and_slopes():
    model, layer = known_model("channels_last")
    strided = Involution2D(
        3,
        groups=2,
        strides=2,
        reduction_ratio=2,
        epsilon=0.0,
        data_format="channels_last",
        name="strided",
    )
    model = keras.Model(model.input, strided(model.input))
    strided.set_weights(layer.get_weights())
    slope = np.broadcast_to(np.arange(12.0)[None, None, :, None], (1, 8, 12, 2))
    resized = visualization.kernel_heatmaps(model, slope)["strided"][0, 1]
    # The means 0.5, 2.5, ... of pairs are between their pixels; the ends are flat.
    expected = -9 * np.clip(np.arange(12.0), 0.5, 10.5)
    np.testing.assert_allclose(resized, np.tile(expected, (8, 1)), rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layers": "no_such"}, "Received: layers='no_such'"),
        ({"aggregate": "max"}, "Received: aggregate='max'"),
    ],
)
def test_wrong_arguments(arguments, words):
    backbone = small_backbone("channels_last")
    with pytest.raises(ValueError, match=words):
        visualization.kernel_heatmaps(backbone, random_images((32, 48, 3)), **arguments)


def test_a_sequential_model_gives_the_maps_of_the_functional_one():
    model, layer = known_model("channels_last")
    copy = Involution2D.from_config(layer.get_config())
    sequential = keras.Sequential([keras.Input((8, 12, 2)), copy])
    copy.set_weights(layer.get_weights())
    x = random_images((8, 12, 2))
    maps, expected = (visualization.kernel_heatmaps(m, x) for m in (sequential, model))
    np.testing.assert_array_equal(maps["known"], expected["known"])


def test_a_model_without_involutions():
    baseline = small_backbone("channels_last", spatial_operator="convolution")
    with pytest.raises(ValueError, match="must have involutions"):
        visualization.kernel_heatmaps(baseline, random_images((32, 48, 3)))


def test_overlay_colours_and_opacity():
    images = np.full((1, 1, 9, 3), 100, "uint8")
    maps = np.linspace(0, 1, 9).reshape(1, 1, 9)
    painted = visualization.overlay(images, maps, opacity=1)
    np.testing.assert_array_equal(painted[0, 0], COLORS)
    np.testing.assert_array_equal(
        visualization.overlay(images, maps, opacity=0), images
    )
    half = visualization.overlay(images[0], maps[0], opacity=0.5, limits=(-1, 1))
    np.testing.assert_array_equal(half[0, 0], np.rint((100 + COLORS[4]) / 2))


def test_overlay_resizes_and_takes_constant_maps():
    images = np.zeros((2, 6, 8, 3), "uint8")
    painted = visualization.overlay(images, np.ones((2, 3, 4)), opacity=1)
    assert painted.shape == images.shape
    assert len(np.unique(painted.reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.zeros((2, 4, 4, 3)), np.zeros((3, 4, 4))), "one map for each image"),
        ((np.zeros((4, 4, 3)), np.zeros((1, 4, 4))), "one map for each image"),
        ((np.zeros((4, 4)), np.zeros((4, 4))), "`images` must be"),
        ((np.zeros((4, 4, 3)), np.zeros((4, 4)), 1.5), "Received: opacity=1.5"),
        ((np.zeros((4, 4, 3)), np.zeros((4, 4)), 1, (1, 1)), "ascending order"),
    ],
)
def test_overlay_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        visualization.overlay(*arguments)
