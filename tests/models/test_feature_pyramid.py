"""The involution neck and heads: published sizes, values, training, files."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from keras_involution.models import (
    InvolutionFeaturePyramid,
    InvolutionTower,
    model_cost,
)
from tests.hub.networks import with_drawn_weights
from tests.marks import one_backend
from tests.models.detectors import retinanet, semantic_fpn

# Parameters in millions and FLOPs in G, as published by the authors of involution for
# the image sizes that their frameworks use.
PUBLISHED = {
    ("retinanet", "convolution"): (27.8, 210.1),
    ("retinanet", "involution"): (26.3, 199.9),
    ("semantic_fpn", "convolution"): (18.5, 293.9),
    ("semantic_fpn", "involution"): (16.4, 205.2),
}
BUILDERS = {
    "retinanet": (retinanet, (800, 1280, 3)),
    "semantic_fpn": (semantic_fpn, (1024, 2048, 3)),
}
SIDES = {"P2": (19, 26), "P3": (10, 13), "P4": (5, 7), "P5": (3, 4)}


@one_backend
@pytest.mark.parametrize("name, spatial_operator", PUBLISHED)
def test_published_sizes(name, spatial_operator):
    build, shape = BUILDERS[name]
    cost = model_cost(build(spatial_operator), shape)
    parameters, flops = PUBLISHED[name, spatial_operator]
    assert not cost.uncounted
    assert cost.parameters / 1e6 == pytest.approx(parameters, rel=0.01)
    assert cost.macs / 1e9 == pytest.approx(flops, rel=0.01)
    assert cost.published_flops / 1e9 == pytest.approx(flops, rel=0.01)


@one_backend
def test_published_savings_of_the_heads():
    """0.5 M in the proposal head and 2.1 M in the mask head, as in the tables."""
    inputs = keras.Input((16, 16, 256))
    for depth, saving in ((1, 522_608), (4, 2_090_432)):
        tower = InvolutionTower(depth, data_format="channels_last")
        cost = model_cost(keras.Model(inputs, tower(inputs)), (16, 16, 256))
        assert cost.parameters == depth * (9 * 256 * 256 + 256) - saving


def maps(data_format: str, channels: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    found = {}
    for level, sides in SIDES.items():
        x = rng.standard_normal((2, *sides, channels)).astype("float32")
        found[level] = np.moveaxis(x, -1, 1) if data_format == "channels_first" else x
    return found


def pyramid_of(data_format: str, **kwargs) -> InvolutionFeaturePyramid:
    arguments = {"num_filters": 16, "group_channels": 8, "kernel_size": 3, **kwargs}
    pyramid = InvolutionFeaturePyramid(data_format=data_format, **arguments)
    pyramid.build({level: x.shape for level, x in maps(data_format).items()})
    return with_drawn_weights(pyramid)


def numbers(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def last(x: np.ndarray, data_format: str) -> np.ndarray:
    return np.moveaxis(x, 1, -1) if data_format == "channels_first" else x


def summed(pyramid: InvolutionFeaturePyramid, data_format: str) -> dict:
    """The input of every level's output by the definition, channels last."""
    found, above = {}, None
    for level in ("P5", "P4", "P3", "P2"):
        kernel, bias = map(numbers, pyramid.laterals[level].weights)
        x = last(maps(data_format)[level], data_format) @ kernel[0, 0] + bias
        if above is not None:
            rows, columns = (np.arange(side) // 2 for side in SIDES[level])
            x = x + above[:, rows][:, :, columns]
        found[level] = above = x
    return found


@pytest.mark.parametrize("spatial_operator", ("involution", "convolution"))
def test_values(spatial_operator, data_format):
    pyramid = pyramid_of(
        data_format, min_level=2, max_level=5, spatial_operator=spatial_operator
    )
    outputs = pyramid(maps(data_format))
    assert list(outputs) == ["P2", "P3", "P4", "P5"]
    for level, x in summed(pyramid, data_format).items():
        x = np.moveaxis(x, -1, 1) if data_format == "channels_first" else x
        if spatial_operator == "convolution":
            spatial = (2, 3) if data_format == "channels_first" else (1, 2)
            x = np.pad(x, [(1, 1) if axis in spatial else (0, 0) for axis in range(4)])
        expected = numbers(pyramid.operators[level](x))
        np.testing.assert_allclose(
            numbers(outputs[level]), expected, rtol=1e-4, atol=1e-4
        )
        assert last(expected, data_format).shape == (2, *SIDES[level], 16)


@pytest.mark.parametrize("use_p5", (True, False))
def test_levels_above_the_backbone(use_p5):
    pyramid = pyramid_of("channels_last", use_p5=use_p5)
    given = maps("channels_last")
    outputs = {level: numbers(x) for level, x in pyramid(given).items()}
    assert [x.shape[1:3] for x in outputs.values()] == [
        (10, 13), (5, 7), (3, 4), (2, 2), (1, 1)
    ]  # fmt: skip
    source = given["P5"] if use_p5 else outputs["P5"]
    for level in ("P6", "P7"):
        kernel, bias = map(numbers, pyramid.operators[level].weights)
        x = np.pad(source, [(0, 0), (1, 1), (1, 1), (0, 0)])
        rows, columns = outputs[level].shape[1:3]
        expected = sum(
            x[:, i : i + 2 * rows : 2, j : j + 2 * columns : 2][:, :rows, :columns]
            @ kernel[i, j]
            for i in range(3)
            for j in range(3)
        )
        np.testing.assert_allclose(
            outputs[level], expected + bias, rtol=1e-4, atol=1e-4
        )
        source = outputs[level]


def functional(**kwargs) -> keras.Model:
    inputs = {level: keras.Input((None, None, 6), name=level) for level in ("P4", "P5")}
    pyramid = InvolutionFeaturePyramid(
        num_filters=16,
        group_channels=8,
        kernel_size=3,
        data_format="channels_last",
        **kwargs,
    )
    tower = InvolutionTower(1, kernel_size=3, data_format="channels_last")
    outputs = [
        layers.GlobalAveragePooling2D(data_format="channels_last")(tower(x))
        for x in pyramid(inputs).values()
    ]
    return keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(outputs)))


def test_a_step_of_training_and_a_file(tmp_path):
    model = functional(min_level=4, max_level=6)
    given = {
        level: x for level, x in maps("channels_last").items() if level in ("P4", "P5")
    }
    # On TensorFlow, XLA takes almost a minute to compile, for ten steps.
    jit_compile = keras.config.backend() == "jax"
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=jit_compile)
    targets = np.array([[0.0, 1.0], [1.0, 0.0]])
    history = model.fit(given, targets, epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        again.predict(given, verbose=0), model.predict(given, verbose=0)
    )


@one_backend
def test_mixed_precision_and_an_order_of_levels():
    given = maps("channels_last")
    pyramid = pyramid_of("channels_last", dtype="mixed_bfloat16", max_level=6)
    outputs = pyramid(dict(reversed(given.items())))
    assert list(outputs) == ["P3", "P4", "P5", "P6"]
    assert {keras.backend.standardize_dtype(x.dtype) for x in outputs.values()} == {
        "bfloat16"
    }


@one_backend
def test_refusals():
    with pytest.raises(ValueError, match=r"`min_level` must be at most.*Received"):
        InvolutionFeaturePyramid(5, 4)
    with pytest.raises(ValueError, match=r"`num_filters` must be divisible.*Received"):
        InvolutionFeaturePyramid(num_filters=24)
    InvolutionFeaturePyramid(num_filters=24, spatial_operator="convolution")
    with pytest.raises(ValueError, match=r"`spatial_operator` must be one of"):
        InvolutionFeaturePyramid(spatial_operator="attention")
    shapes = {f"P{n}": (None, 2 ** (8 - n), 2 ** (8 - n), 8) for n in (3, 5)}
    with pytest.raises(ValueError, match=r"every level from P3.*Received"):
        InvolutionFeaturePyramid().build(shapes)
    with pytest.raises(ValueError, match=r"every level from P6.*Received"):
        InvolutionFeaturePyramid(6, 7).build(shapes)
    with pytest.raises(ValueError, match=r'named "P2".*Received'):
        InvolutionFeaturePyramid().build({"C3": (None, 8, 8, 8)})
    shapes["P4"] = (None, 16, 32, 8)
    with pytest.raises(ValueError, match=r"half of those.*Received"):
        InvolutionFeaturePyramid(data_format="channels_last").build(shapes)
    with pytest.raises(ValueError, match=r"`channels` must be divisible.*Received"):
        InvolutionTower(data_format="channels_last").build((None, 8, 8, 24))
    with pytest.raises(ValueError, match=r"`depth` must be a positive.*Received"):
        InvolutionTower(0)
