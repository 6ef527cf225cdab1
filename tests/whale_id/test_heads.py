"""Heads and pooling equal a NumPy definition; their gradients and files."""

from __future__ import annotations

import math
import zipfile

import keras
import numpy as np
import pytest

from keras_involution.whale_id.heads import (
    ArcFace,
    SoftmaxHead,
    count_margins,
    load_centers,
    save_centers,
)
from keras_involution.whale_id.pooling import GeneralizedMeanPooling2D

MARGINS = [0.1, 0.2, 0.3, 0.5, 1.0]


def embeddings(rows: int = 7, size: int = 6) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, size)).astype("float32")


def arc_face(x, centers, identities, margins, scale, sub_centers) -> np.ndarray:
    """The definition of ArcFace, with loops and angles."""
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    centers = centers / np.linalg.norm(centers, axis=0, keepdims=True)
    classes = centers.shape[1] // sub_centers
    logits = np.zeros((len(x), classes))
    for row in range(len(x)):
        for c in range(classes):
            own = centers[:, c * sub_centers : (c + 1) * sub_centers]
            cosine = (x[row] @ own).max()
            if c == identities[row]:
                angle, margin = math.acos(np.clip(cosine, -1, 1)), margins[c]
                if angle + margin <= math.pi:
                    cosine = math.cos(angle + margin)
                else:
                    cosine = cosine - margin * math.sin(margin)
            logits[row, c] = scale * cosine
    return logits


@pytest.mark.parametrize("sub_centers", (1, 2, 3))
def test_arc_face_is_its_definition(sub_centers):
    x, identities = embeddings(), np.array([0, 1, 2, 3, 4, 0, 4])
    head = ArcFace(5, margins=MARGINS, scale=21.0, sub_centers=sub_centers)
    logits = keras.ops.convert_to_numpy(head(x, identities))
    centers = keras.ops.convert_to_numpy(head.centers)
    expected = arc_face(x, centers, identities, MARGINS, 21.0, sub_centers)
    np.testing.assert_allclose(logits, expected, atol=2e-5)


def test_past_180_degrees_the_logit_goes_on_falling():
    head = ArcFace(2, margins=1.0, scale=1.0)
    head.build((None, 2))
    head.centers.assign(np.array([[1.0, 0.0], [0.0, 1.0]]))
    angles = np.linspace(0.01, math.pi - 0.01, 200)
    x = np.stack([np.cos(angles), np.sin(angles)], 1).astype("float32")
    logits = keras.ops.convert_to_numpy(head(x, np.zeros(200, "int32")))[:, 0]
    assert (np.diff(logits) < 0).all()
    expected = arc_face(x, np.eye(2), np.zeros(200, int), [1.0, 1.0], 1.0, 1)[:, 0]
    # The sine is the root of 1 - cosine ** 2: three roundings, over the least sine.
    np.testing.assert_allclose(logits, expected, atol=3 * 2**-24 / 0.01)


def test_without_identities_there_are_no_margins():
    head, x = ArcFace(5, margins=0.5, scale=3.0), embeddings()
    with_margins = keras.ops.convert_to_numpy(head(x, np.zeros(7, "int32")))
    without = keras.ops.convert_to_numpy(head(x))
    assert (with_margins[:, 0] < without[:, 0]).all()
    np.testing.assert_array_equal(with_margins[:, 1:], without[:, 1:])


def test_the_gradient_is_finite_on_a_center():
    # The slope of the sine is infinite where an embedding meets its center.
    head = ArcFace(2, margins=0.3)
    inputs, identity = keras.Input((2,)), keras.Input((), dtype="int32")
    model = keras.Model([inputs, identity], head(inputs, identity))
    head.centers.assign(np.eye(2))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    y = np.array([0, 1])
    assert np.isfinite(model.train_on_batch([np.eye(2, dtype="float32"), y], y))
    assert np.isfinite(keras.ops.convert_to_numpy(head.centers)).all()


def test_margins_fall_with_the_count():
    # The table of the recipe: 0.321, 0.261, 0.201, 0.167, 0.101.
    margins = count_margins([1, 2, 5, 10, 100])
    assert [round(m, 3) for m in margins] == [0.321, 0.261, 0.201, 0.167, 0.101]
    with pytest.raises(ValueError, match="Received: counts="):
        count_margins([3, 0])


@pytest.mark.parametrize(
    "head",
    (
        ArcFace(5, margins=MARGINS, sub_centers=2, name="a"),
        ArcFace(5, margins=0.2, name="b"),
        SoftmaxHead(5, name="c"),
    ),
    ids=("sub-center", "plain", "softmax"),
)
def test_heads_are_saved(head, tmp_path):
    inputs, identity = keras.Input((6,)), keras.Input((), dtype="int32")
    model = keras.Model([inputs, identity], head(inputs, identity))
    model.save(tmp_path / "head.keras")
    again = keras.saving.load_model(tmp_path / "head.keras")
    x = [embeddings(), np.zeros(7, "int32")]
    np.testing.assert_array_equal(
        model.predict(x, verbose=0), again.predict(x, verbose=0)
    )


def test_centers_in_a_file_give_the_cosines_of_the_head(tmp_path):
    head, x = ArcFace(5, sub_centers=2), embeddings()
    head(x)
    expected = keras.ops.convert_to_numpy(head.cosines(x))
    save_centers(tmp_path / "head.npz", head, list("abcde"))
    centers, identities = load_centers(tmp_path / "head.npz", 6)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(np.max(unit @ centers, axis=0), expected, atol=1e-6)
    assert identities == list("abcde")
    with pytest.raises(ValueError, match="another network"):
        load_centers(tmp_path / "head.npz", 7)


def test_a_member_without_its_header_is_no_array(tmp_path):
    """NumPy returns its raw bytes."""
    np.savez(tmp_path / "head.npz", identities=np.array(["A", "B"]))
    with zipfile.ZipFile(tmp_path / "head.npz", "a") as archive:
        archive.writestr("centers.npy", b"no header")
    with pytest.raises(ValueError, match=r"The head .*centers is not an array"):
        load_centers(tmp_path / "head.npz", 6)


@pytest.mark.parametrize(
    "arguments",
    (
        {"num_classes": 0},
        {"num_classes": 3, "margins": [0.1, 0.2]},
        {"num_classes": 3, "margins": 4.0},
        {"num_classes": 3, "scale": 0.0},
        {"num_classes": 3, "sub_centers": 0},
    ),
)
def test_what_does_not_fit_is_refused(arguments):
    with pytest.raises(ValueError, match="Received: "):
        ArcFace(**arguments)


@pytest.mark.parametrize("cells", (1, 2, 3, (1, 3)))
def test_pooling_is_its_definition(cells, data_format):
    x = np.random.default_rng(0).uniform(-1, 3, (2, 5, 6, 4)).astype("float32")
    rows, columns = cells if isinstance(cells, tuple) else (cells, cells)
    powered = np.maximum(x, 1e-6) ** 3
    expected = []
    for r in range(rows):
        for c in range(columns):
            # A cell begins at the floor and ends at the ceiling of its fraction.
            top, bottom = r * 5 // rows, -(-(r + 1) * 5 // rows)
            left, right = c * 6 // columns, -(-(c + 1) * 6 // columns)
            part = powered[:, top:bottom, left:right]
            expected.append(part.mean(axis=(1, 2)) ** (1 / 3))
    layer = GeneralizedMeanPooling2D(p=3, cells=cells, data_format=data_format)
    given = x if data_format == "channels_last" else np.moveaxis(x, -1, 1)
    pooled = keras.ops.convert_to_numpy(layer(given))
    assert tuple(pooled.shape) == layer.compute_output_shape(given.shape)
    np.testing.assert_allclose(pooled, np.concatenate(expected, 1), rtol=1e-4)


def test_the_power_can_be_learnt():
    layer = GeneralizedMeanPooling2D(trainable_p=True, data_format="channels_last")
    layer(np.ones((1, 2, 2, 3), "float32"))
    assert len(layer.trainable_weights) == 1
    assert GeneralizedMeanPooling2D.from_config(layer.get_config()).trainable_p


def test_a_power_of_zero_is_refused():
    with pytest.raises(ValueError, match="Received: p=0"):
        GeneralizedMeanPooling2D(p=0)
