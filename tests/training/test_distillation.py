"""Distillation: its loss in NumPy, and which network learns."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution.training import build_distiller, teacher_of_classes


def network(classes: int = 3, activation: str | None = None) -> keras.Model:
    layers = [keras.Input((4,)), keras.layers.Dense(classes, activation)]
    return keras.Sequential(layers)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def logits(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(x))


def test_the_loss_is_that_of_the_paper():
    random = np.random.default_rng(0)
    x = random.standard_normal((5, 4)).astype("float32")
    y = random.integers(0, 3, 5)
    student, teacher = network(), network()
    model = build_distiller(student, teacher, temperature=3.0, label_weight=0.3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    own, other = logits(student, x), logits(teacher, x)
    entropy = -np.log(softmax(own)[np.arange(5), y]).mean()
    p, q = softmax(other / 3), softmax(own / 3)
    divergence = (p * np.log(p / q)).sum(-1).mean()
    found = float(model.test_on_batch(x, y, return_dict=True)["total_loss"])
    assert found == pytest.approx(0.3 * entropy + 0.7 * 9 * divergence, rel=1e-4)


def test_the_student_comes_to_answer_as_its_teacher():
    x = np.random.default_rng(0).standard_normal((64, 4)).astype("float32")
    student, teacher = network(), network()
    before = [w.copy() for w in teacher.get_weights()]
    distance = np.abs(softmax(logits(student, x)) - softmax(logits(teacher, x))).max()
    model = build_distiller(student, teacher, label_weight=0.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss)
    for _ in range(60):
        model.train_on_batch(x, np.zeros(64, "int64"))
    after = np.abs(softmax(logits(student, x)) - softmax(logits(teacher, x))).max()
    assert after < 0.1 * distance
    for one, two in zip(before, teacher.get_weights()):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("probabilities", (False, True))
def test_a_teacher_of_more_classes_answers_in_the_student_s(probabilities):
    x = np.random.default_rng(0).standard_normal((2, 4)).astype("float32")
    whole = network(6, "softmax" if probabilities else None)
    student = network()
    double = keras.layers.Rescaling(2.0)
    teacher = teacher_of_classes(
        whole,
        student,
        prepare=double,
        classes=[4, 0, 5],
        probabilities=probabilities,
    )
    expected = logits(whole, 2 * x)[:, [4, 0, 5]]
    if probabilities:
        expected = np.log(expected)
    np.testing.assert_allclose(logits(teacher, x), expected, rtol=1e-5)
    build_distiller(student, teacher)


def test_what_does_not_fit_is_refused():
    student = network()
    with pytest.raises(ValueError, match=r"Received: classes=\[0, 1, 6\]"):
        teacher_of_classes(network(6), student, classes=[0, 1, 6])
    with pytest.raises(ValueError, match=r"Received: temperature=0"):
        build_distiller(student, network(), temperature=0)
    with pytest.raises(ValueError, match=r"Received: label_weight=2"):
        build_distiller(student, network(), label_weight=2)
