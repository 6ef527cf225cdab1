"""Invalid numbers raise one kind of error before anything is read or built."""

from __future__ import annotations

import numpy as np
import pytest

from keras_involution.data import write_tfrecords
from keras_involution.whale_id import (
    EmbeddingNetwork,
    check_table,
    embed,
    kernel_maps,
    split_table,
    write_table,
)
from keras_involution.whale_id.assemble import build_network
from keras_involution.whale_id.config import TrainConfig
from keras_involution.whale_id.metrics import bootstrap_interval
from keras_involution.whale_id.model import build_backbone
from keras_involution.whale_id.pipeline import (
    Photos,
    ordered_batches,
    training_batches,
)
from keras_involution.whale_id.train import train
from tests.marks import one_backend
from tests.whale_id.animals import animals
from tests.whale_id.command import run
from tests.whale_id.image_files import listed
from tests.whale_id.settings import small

pytestmark = one_backend

MISSING = listed({"A": 4, "B": 4})


@pytest.fixture(scope="module")
def network():
    return build_network(small())


@pytest.mark.parametrize("value", (0, -1, 1.5, None, "2", True))
def test_counts_in_the_python_interface(network, value):
    photos = Photos(MISSING, (32, 32))
    codes = np.zeros(8, int)
    for name, call in (
        ("batch_size", lambda: embed(network, MISSING, batch_size=value)),
        ("batch_size", lambda: kernel_maps(network, MISSING, batch_size=value)),
        ("batch_size", lambda: next(ordered_batches(photos, value))),
        ("num_threads", lambda: next(
            ordered_batches(photos, 2, num_threads=value))),
        ("batch_size", lambda: training_batches(photos, codes, value)),
        ("num_threads", lambda: training_batches(
            photos, codes, 2, num_threads=value)),
        ("repeats", lambda: bootstrap_interval(codes, repeats=value)),
        ("max_pixels", lambda: Photos(MISSING, (32, 32), max_pixels=value)),
        ("folds", lambda: split_table(MISSING, "folds", folds=value)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"`{name}` must be.*Received: {name}="):
            call()
    if value is not None:
        with pytest.raises(ValueError, match=r"`workers` must be a positive integer"):
            check_table(MISSING, workers=value)


@pytest.mark.parametrize("value", (-0.1, float("nan"), float("inf"), "x"))
def test_margins(network, value):
    with pytest.raises(
        ValueError, match=r"`box_margin` must be.*Received: box_margin="
    ):
        embed(network, MISSING, box_margin=value)


def test_workers_may_be_none_at_all():
    photos, codes = Photos(MISSING, (32, 32)), np.zeros(8, int)
    for value in (-1, 1.5, None):
        with pytest.raises(ValueError, match=r"`num_workers` must be a whole number"):
            training_batches(photos, codes, 2, num_workers=value)


def test_counts_in_commands(network, tmp_path):
    table = tmp_path / "t.csv"
    write_table(MISSING, table)
    network.save(tmp_path / "m.keras")
    model, out = tmp_path / "m.keras", tmp_path / "o.npz"
    for name, arguments in (
        ("workers", ("check", table, "--workers", 0)),
        ("batch_size", ("embed", table, model, out, "--batch-size", 0)),
        ("box_margin", ("embed", table, model, out, "--box-margin", -1)),
        ("batch_size", ("heatmaps", table, model, out, "--batch-size", -3)),
        ("batch_size", ("train", table, tmp_path / "r", "--batch-size", 0)),
        ("num_workers", ("train", table, tmp_path / "r", "--num-workers", -1)),
    ):
        text = run(*arguments, status=1)
        assert f"`{name}` must be" in text and f"Received: {name}=" in text
    run("serve", model, table, "--port", 70000, status=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.keras", "t.csv"]


@pytest.mark.parametrize(
    "settings",
    (
        {"num_workers": -1},
        {"num_workers": 10**6},
        {"num_threads": 10**6},
        {"seed": -1},
        {"batch_size": 10**9},
        {"image_size": 10**6},
        {"embedding_size": 0},
        {"embedding_size": 10**9},
        {"sub_centers": 10**6},
        {"dropout": 1.0},
        {"p": 0.0},
        {"scale": -1.0},
        {"clip_norm": 0.0},
        {"kernel_size": 0},
        {"stackwise_strides": [1, 0]},
        {"stackwise_num_filters": [16, 10**9]},
    ),
    ids=str,
)
def test_settings_out_of_range(settings):
    [name] = settings
    with pytest.raises(ValueError, match=f"`{name}` must be.*Received: {name}="):
        TrainConfig(**settings)


@pytest.mark.parametrize("name", ("augmentation", "sampling"))
def test_names_of_settings_that_are_none(tmp_path, name):
    with pytest.raises(ValueError, match=f"`{name}` must be one of.*{name}='nosuch'"):
        train(animals(tmp_path), small(**{name: "nosuch"}), tmp_path / "run")


def test_settings_that_do_not_fit_the_network():
    for cells, most in ((1000, 8), (5, 4)):  # `small` has maps of 8 x 8 and 4 x 4.
        expected = rf"at most \({most}, {most}\).*Received: cells=\({cells}, {cells}\)"
        with pytest.raises(ValueError, match=expected):
            build_network(small(cells=cells))
    assert build_network(small(cells=4)).output_shape[-1] > 0
    with pytest.raises(ValueError, match=r"at least 8.*Received: image_size=7"):
        build_network(small(image_size=7))
    backbone = build_backbone(
        "rednet", (None, None, 3), stackwise_num_filters=[32, 64],
        stackwise_num_blocks=[1, 1], stackwise_strides=[1, 2],
    )  # fmt: skip
    EmbeddingNetwork(backbone, cells=(3, 2))


def test_qualities_of_jpeg(tmp_path):
    pytest.importorskip("tensorflow", reason="TFRecords are TensorFlow's")
    for quality in (0, 101):
        with pytest.raises(ValueError, match=r"`quality` must be.*Received: quality="):
            write_tfrecords(MISSING, tmp_path, "train", quality=quality)
